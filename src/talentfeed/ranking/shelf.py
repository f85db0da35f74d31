"""Part of stage 6: which items may stand at a slot under rules 1, 2 and 3. SPEC 7."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Self

from talentfeed.contracts import CREATOR_WINDOW, Indices, Ints, Kind
from talentfeed.ranking.masks import Ground, Mask
from talentfeed.ranking.postings import Postings


@dataclass(frozen=True, slots=True)
class Listing:
    """Who made the items of a kind, and the ground their masks stand on."""

    creator: Indices  # (n,)
    by_creator: Postings
    ground: Ground
    made: Sequence[Mask]  # by creator, where the ground is small; else empty

    @classmethod
    def of(cls, creator: Indices, by_creator: Postings, ground: Ground) -> Self:
        """Arrange once a snapshot."""
        made = []
        if ground.small:
            made = [ground.none] * (len(by_creator.start) - 1)
            for row, code in enumerate(creator.tolist()):
                made[code] |= 1 << row
        return cls(creator, by_creator, ground, made)


class Shelf:
    """The items of one kind during one feed."""

    __slots__ = ("blocked", "ground", "listing", "seen", "seen_left", "seen_rows", "unseen", "unseen_left")

    def __init__(
        self,
        listing: Listing,
        excluded: Ints,  # rows, distinct
        seen: Indices,  # rows left out only because already seen, oldest interaction first
    ) -> None:
        ground = listing.ground
        self.listing, self.ground = listing, ground
        self.seen_rows = seen
        self.seen: Mask = ground.of_rows(seen)  # already seen, not excluded, not served
        self.unseen: Mask = ground.all() & ~self.seen  # what rules 1 and 2 let stand
        if len(excluded):
            self.unseen = ground.drop(self.unseen, excluded)
        self.blocked: Mask = ground.of_rows(seen[:0])  # by creators in the window
        self.unseen_left = ground.n - len(excluded) - len(seen)
        self.seen_left = len(seen)

    def was_seen(self, row: int) -> bool:
        """Whether the viewer has interacted with it."""
        return self.seen_left > 0 and self.ground.has(self.seen, row)

    def take(self, row: int) -> None:
        """Serve an item."""
        if self.was_seen(row):
            self.seen_left -= 1
            self.seen = self.ground.drop_one(self.seen, row)
        else:
            self.unseen_left -= 1
            self.unseen = self.ground.drop_one(self.unseen, row)

    def block(self, creator: int) -> None:
        """This creator is in the window."""
        listing = self.listing
        if self.ground.small:
            if 0 <= creator < len(listing.made):
                self.blocked |= listing.made[creator]
        else:
            self.blocked = self.ground.put(self.blocked, listing.by_creator.of(creator))

    def unblock(self, creator: int) -> None:
        """This creator is not in the window any more."""
        listing = self.listing
        if self.ground.small:
            if 0 <= creator < len(listing.made):
                self.blocked &= ~listing.made[creator]
        else:
            self.blocked = self.ground.drop(self.blocked, listing.by_creator.of(creator))

    def by(self, creators: Iterable[int]) -> Mask:
        """What these creators made."""
        return self.ground.of_rows(self.listing.by_creator.of_all(creators))

    def oldest_seen(self, among: Mask) -> int | None:
        """The row of the oldest interaction that is left, among those admitted."""
        for row in self.seen_rows.tolist():
            if self.ground.has(self.seen, row) and self.ground.has(among, row):
                return int(row)
        return None


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
        times = self._times
        if len(self._places) == CREATOR_WINDOW - 1:
            for creator in self._places.popleft():
                times[creator] -= 1
                if not times[creator]:
                    for shelf in self._shelves.values():
                        shelf.unblock(creator)
        self._places.append(creators)
        for creator in creators:
            times[creator] += 1
            if times[creator] == 1:
                for shelf in self._shelves.values():
                    shelf.block(creator)

    def holds(self, creator: int) -> bool:
        """Whether a creator stands in it."""
        return self._times[creator] > 0

    def shrunk(self) -> dict[Kind, Mask]:
        """For each shelf what the largest smaller window lets stand that lets anything stand, seen or not.

        Called where the whole window lets nothing stand: then what is left is by its creators.
        """
        shelves = self._shelves
        left = {kind: (shelf.unseen | shelf.seen) & shelf.blocked for kind, shelf in shelves.items()}
        for number, creators in enumerate(self._places):  # farthest first
            nearer = set(chain.from_iterable(islice(self._places, number + 1, None)))
            found = {kind: left[kind] & shelf.by(set(creators) - nearer) for kind, shelf in shelves.items()}
            if any(shelves[kind].ground.some(found[kind]) for kind in found):
                return found
        return left
