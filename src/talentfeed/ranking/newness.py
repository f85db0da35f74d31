"""Part of stage 6: rule 5, new videos make 25 to 35 % of a feed's videos, to the nearest whole number. SPEC 7.

Bounds are kept at each slot, not repaired at the end: the last places that can still reach the lower bound take only
new videos, and once the upper one is reached only old ones are admissible. Both follow the number of videos that the
feed will have, and are clipped to what the candidates can meet.
"""

from collections.abc import Sequence

from talentfeed.contracts import Pool
from talentfeed.ranking.masks import Mask
from talentfeed.ranking.shelf import Shelf


def band(n_videos: int) -> tuple[int, int]:
    """Fewest and most new videos among so many: floor(0.25 n + 0.5) and floor(0.35 n + 0.5), in whole numbers."""
    return (n_videos + 2) // 4, (7 * n_videos + 10) // 20


def within_band(n_videos: int, n_new: int) -> bool:
    """Whether a feed keeps rule 5."""
    low, high = band(n_videos)
    return low <= n_new <= high


class Newness:
    """Rule 5 during one feed."""

    def __init__(
        self,
        pattern: Sequence[Pool],
        new: Mask,  # of the videos
        videos: Shelf | None,
        flows: Shelf | None,
    ) -> None:
        self._new = new
        self._videos, self._flows = videos, flows
        self._new_left = videos.ground.count(new & videos.unseen) if videos else 0
        self.new_served = self.served = 0
        self._ahead = counts_behind(pattern)
        self._only: bool | None = None
        self._kept_for_fresh: bool | None = None
        self.needed = 0  # new videos that the rest of the feed must bring

    def at(self, number: int, planned: Pool) -> None:
        """Move to a slot: what a video there may be."""
        if self._videos is None:
            return
        flow_slots, fresh_slots, video_slots = self._ahead[number]
        flows_left = self._flows.unseen_left if self._flows else 0
        places = 1 + video_slots + max(flow_slots - flows_left, 0)
        left = self._videos.unseen_left
        places = min(places, left + self._videos.seen_left)
        low, high = band(self.served + places)
        low = min(low, self.new_served + self._new_left)
        high = max(high, self.new_served + places - (left - self._new_left))
        self.needed = low - self.new_served
        self._only = None
        if self.new_served >= high:
            self._only = False
        elif self.needed >= places:
            self._only = True
        self._kept_for_fresh = self._only
        if self._only is None and planned is not Pool.FRESH and self.new_served + fresh_slots >= high:
            self._kept_for_fresh = False

    def only(self, *, keep_for_fresh: bool) -> bool | None:
        """True: only new videos may stand here; False: only old ones; None: both.

        `keep_for_fresh` leaves the rest of the upper bound to the fresh slots that are still to come.
        """
        return self._kept_for_fresh if keep_for_fresh else self._only

    def admits(self, row: int) -> bool:
        """Whether rule 5 lets this one stand."""
        return self._only is None or self._only == self._is_new(row)

    def take(self, row: int, *, seen: bool) -> bool:
        """Serve a video; whether it is new."""
        self.served += 1
        new = self._is_new(row)
        if new:
            self.new_served += 1
            self._new_left -= not seen
        return new

    def _is_new(self, row: int) -> bool:
        return self._videos is not None and self._videos.ground.has(self._new, row)


def counts_behind(pattern: Sequence[Pool]) -> list[tuple[int, int, int]]:
    """Flow slots, fresh slots and all video slots after each slot."""
    counts: list[tuple[int, int, int]] = []
    flow = fresh = video = 0
    for pool in reversed(pattern):
        counts.append((flow, fresh, video))
        flow += pool is Pool.FLOW
        fresh += pool is Pool.FRESH
        video += pool is not Pool.FLOW
    return counts[::-1]
