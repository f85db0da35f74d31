"""Part of stage 6: which items may stand at a slot under rules 1, 2 and 3, one byte an item. SPEC 7."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import CREATOR_WINDOW, Bools, Bytes, Indices, Ints, Kind
from talentfeed.ranking.postings import Postings

GONE, SEEN, BLOCKED = 1, 2, 4  # excluded or served; already seen; its creator is in the window


@dataclass(frozen=True, slots=True)
class Listing:
    """Who made the items of a kind."""

    creator: Indices  # (n,)
    by_creator: Postings


class Shelf:
    """The items of one kind during one feed."""

    def __init__(
        self,
        listing: Listing,
        kept: Bools,  # (n,)
        seen: Indices,  # left out only because already seen, oldest interaction first
    ) -> None:
        self.listing = listing
        self.state: Bytes = (~kept).view(np.uint8)  # (n,) bits; 0: admissible under rules 1 to 3
        self.state[seen] = SEEN
        self.seen = seen
        self.unseen_left = int(np.count_nonzero(kept))
        self.seen_left = len(seen)

    def take(self, row: int) -> None:
        """Serve an item."""
        if self.state[row] & SEEN:
            self.seen_left -= 1
        else:
            self.unseen_left -= 1
        self.state[row] |= GONE

    def block(self, creator: int) -> None:
        """This creator is in the window."""
        rows = self.listing.by_creator.of(creator)
        if len(rows):
            self.state[rows] |= BLOCKED

    def unblock(self, creator: int) -> None:
        """This creator is not in the window any more."""
        rows = self.listing.by_creator.of(creator)
        if len(rows):
            self.state[rows] &= GONE | SEEN

    def oldest_seen(self, among: Bools) -> int | None:
        """The row of the oldest interaction that is left, among those admitted."""
        rows = self.seen[among[self.seen]]
        return int(rows[0]) if len(rows) else None

    def free(self) -> Bools:
        """What rules 1 to 3 let stand, (n,)."""
        free: Bools = self.state == 0
        return free

    def unseen(self, among: Bools) -> Bools:
        """What rule 2 lets stand among those admitted, (n,)."""
        unseen: Bools = among & ((self.state & SEEN) == 0)
        return unseen

    def left(self) -> Bools:
        """What rule 1 alone lets stand, (n,)."""
        left: Bools = (self.state & GONE) == 0
        return left


class Window:
    """Rule 3: the creators at the last 11 places, of videos and flows alike."""

    def __init__(self, shelves: Mapping[Kind, Shelf], recent: Sequence[Sequence[int]]) -> None:
        self._shelves = shelves
        self._places: deque[Sequence[int]] = deque()
        self._times: Counter[int] = Counter()  # a creator stands in the window
        for creators in recent[-(CREATOR_WINDOW - 1) :]:
            self.push(creators)

    def push(self, creators: Sequence[int]) -> None:
        """One more item by these; the oldest place leaves the window."""
        if len(self._places) == CREATOR_WINDOW - 1:
            for creator in self._places.popleft():
                self._times[creator] -= 1
                if not self._times[creator]:
                    for shelf in self._shelves.values():
                        shelf.unblock(creator)
        self._places.append(creators)
        for creator in creators:
            self._times[creator] += 1
            for shelf in self._shelves.values():
                shelf.block(creator)

    def shrunk(self) -> dict[Kind, Bools]:
        """For each shelf what the largest smaller window lets stand that lets anything stand, seen or not."""
        left = {kind: shelf.left() for kind, shelf in self._shelves.items()}
        away = {kind: self._distance(shelf.listing.creator) for kind, shelf in self._shelves.items()}
        farthest = max((int(away[kind][left[kind]].max(initial=0)) for kind in left), default=0)
        return {kind: left[kind] & (away[kind] == farthest) for kind in left}

    def _distance(self, creator: Indices) -> Ints:
        """How many places ago each item's creator was last seen; beyond the window one more than it holds."""
        away = np.full(len(creator), CREATOR_WINDOW, np.int64)
        for number, place in enumerate(self._places):
            away[np.isin(creator, place)] = len(self._places) - number
        return away
