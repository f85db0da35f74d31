"""Part of stage 6: keeps rule 5 within reach. SPEC 7.

Who publishes new videos may have older hits, or flows. Served one of those, a creator is in the window, and their new
videos with them. Where the creators who can still bring a new video are hardly more than the feed needs, their other
items wait.
"""

from collections import Counter

from talentfeed.contracts import CREATOR_WINDOW, Ints
from talentfeed.ranking.masks import Mask
from talentfeed.ranking.shelf import Shelf, Window

SPARE = 2  # creators more than needed from which on nobody waits


class Reserve:
    """The creators of new videos during one feed."""

    def __init__(
        self,
        new: Mask,  # of the videos
        videos: Shelf | None,
        fresh: Ints | None,  # rows of new videos not seen yet, any of them: to see quickly that there are plenty
        size: int,  # of the feed
    ) -> None:
        self._makers: Counter[int] | None = None  # creator -> new videos not seen yet; None: plenty
        if videos is None or fresh is None:
            return
        creator = videos.listing.creator
        # Served items and the window, two creators a place, hide fewer than `size` + 22; a feed needs under size / 2.
        if len(set(creator[fresh].tolist())) < 2 * size + 2 * CREATOR_WINDOW:
            self._makers = Counter(creator[videos.ground.rows(new & videos.unseen)].tolist())

    @property
    def watches(self) -> bool:
        """Whether anybody may ever have to wait."""
        return self._makers is not None

    def holders(self, needed: int, window: Window) -> list[int] | None:
        """Creators outside the window whose other items wait, where the feed needs so many new videos; else None."""
        if self._makers is None or needed <= 0:
            return None
        free = [code for code, videos in self._makers.items() if videos and not window.holds(code)]
        return free if 0 < len(free) <= needed + SPARE else None

    def take(self, creator: int) -> None:
        """One of this creator's new videos is served."""
        if self._makers is not None and self._makers[creator]:
            self._makers[creator] -= 1
