"""Stage 6: slots, what is admissible at each, and what gave way. SPEC 7.

The rules are in `shelf.py` (1 to 3), `diversity.py` (4) and `newness.py` (5). A choice is a draw over what they let
stand; where they let nothing stand they give way from the last to the third, each no further than it must.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from talentfeed.contracts import Kind, Pool, Rule, Slot
from talentfeed.ranking import express
from talentfeed.ranking.diversity import Diversity
from talentfeed.ranking.masks import Mask
from talentfeed.ranking.newness import Newness, within_band
from talentfeed.ranking.reserve import Reserve
from talentfeed.ranking.shelf import Shelf, Window
from talentfeed.ranking.table import Table, draw, ladder

# keep new videos for the fresh slots, rule 5, rule 4
_Strictness = tuple[tuple[bool, bool, bool], ...]
_WHOLE: _Strictness = ((True, True, True), (False, True, True))
_RELAXED: _Strictness = ((False, False, True), (False, True, False), (False, False, False))


class _Choice(NamedTuple):
    kind: Kind
    row: int
    pool: Pool
    probability: float
    explored: bool = False


def fill(table: Table) -> tuple[list[Slot], list[Rule]]:
    """The slots of a feed, and the rules that gave way over all of it in the declared order."""
    quick = express.fill(table)
    if quick is not None:
        return quick
    feed = _Feed(table)
    slots: list[Slot] = []
    for number, planned in enumerate(table.pattern):
        choice, broken = feed.choose(number, planned)
        if choice is None:
            break
        feed.serve(choice)
        slots.append(Slot(choice.kind, choice.row, choice.pool, planned, choice.probability, choice.explored, broken))
    gave_way = {rule for slot in slots for rule in slot.gave_way} - {Rule.NEW_CONTENT}
    if not feed.keeps_new_content():
        gave_way.add(Rule.NEW_CONTENT)
    return slots, [rule for rule in Rule if rule in gave_way]


class _Feed:
    """A feed half filled."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._shelves = {kind: Shelf(o.listing, o.excluded, o.seen) for kind, o in table.offers.items()}
        videos = self._shelves.get(Kind.VIDEO)
        self._newness = Newness(table.pattern, table.new, videos, self._shelves.get(Kind.FLOW))
        fresh = table.shortlists[Pool.FRESH].rows if videos else None
        self._reserve = Reserve(table.new, videos, fresh, len(table.pattern))
        self._window = Window(self._shelves, table.recent_creators)
        self._diversity = Diversity(table.skills)
        self._order = {own: sorted(self._shelves, key=lambda kind: kind is not own) for own in Kind}

    def choose(self, number: int, planned: Pool) -> tuple[_Choice | None, tuple[Rule, ...]]:
        """The choice that breaks least and what it breaks; None where nothing is left."""
        self._newness.at(number, planned)
        kinds = self._order[Kind.FLOW if planned is Pool.FLOW else Kind.VIDEO]
        choice = self._sparing_the_reserve(number, planned, kinds[:1])
        choice = choice or self._unseen(number, planned, kinds, None, _WHOLE)
        if choice is not None:
            return choice, ()
        choice = self._unseen(number, planned, kinds, None, _RELAXED) or self._oldest_seen(kinds, None)
        if choice is None:
            shrunk = self._window.shrunk()
            choice = self._unseen(number, planned, kinds, shrunk, _WHOLE + _RELAXED)
            choice = choice or self._oldest_seen(kinds, shrunk)
        return choice, self._broken_by(choice) if choice else ()

    def serve(self, choice: _Choice) -> None:
        """Take the item off its shelf and let every rule know."""
        shelf = self._shelves[choice.kind]
        if choice.kind is Kind.VIDEO:
            seen = shelf.was_seen(choice.row)
            if self._newness.take(choice.row, seen=seen) and not seen:
                self._reserve.take(shelf.listing.creator.item(choice.row))
            self._diversity.take(choice.row)
        shelf.take(choice.row)
        self._window.push((shelf.listing.creator.item(choice.row),))

    def keeps_new_content(self) -> bool:
        """Whether the videos served keep rule 5."""
        return within_band(self._newness.served, self._newness.new_served)

    def _broken_by(self, choice: _Choice) -> tuple[Rule, ...]:
        """The rules that this choice breaks, in the declared order."""
        shelf = self._shelves[choice.kind]
        is_video = choice.kind is Kind.VIDEO
        broken = {
            Rule.NEW_CONTENT: is_video and not self._newness.admits(choice.row),
            Rule.SKILL_DIVERSITY: is_video and not self._diversity.admits(choice.row),
            Rule.ALREADY_SEEN: shelf.was_seen(choice.row),
            Rule.CREATOR_WINDOW: shelf.ground.has(shelf.blocked, choice.row),
        }
        return tuple(rule for rule in Rule if broken[rule])

    def _sparing_the_reserve(self, number: int, planned: Pool, kinds: Sequence[Kind]) -> _Choice | None:
        """Of the slot's own kind, without what would put the last creators of new videos into the window."""
        holders = self._reserve.holders(self._newness.needed, self._window)
        if holders is None:
            return None
        free = {}
        for kind in kinds:
            shelf = self._shelves[kind]
            waits = shelf.by(holders)
            free[kind] = ~shelf.blocked & ~(waits & ~self._table.new if kind is Kind.VIDEO else waits)
        return self._unseen(number, planned, kinds, free, _WHOLE[:1])

    def _unseen(
        self,
        number: int,
        planned: Pool,
        kinds: Sequence[Kind],  # the slot's own first
        among: Mapping[Kind, Mask] | None,  # what a smaller window lets stand; None: the whole window stands
        strictness: _Strictness,
    ) -> _Choice | None:
        """Down the ladder of pools over what is not seen yet, at each strictness."""
        for keep_for_fresh, rule5, rule4 in strictness:
            for kind in kinds:
                if kind is Kind.FLOW and keep_for_fresh and planned is not Pool.FLOW:
                    continue
                shelf = self._shelves[kind]
                admissible = shelf.unseen & (~shelf.blocked if among is None else among[kind])
                if kind is Kind.VIDEO:
                    only = self._newness.only(keep_for_fresh=keep_for_fresh) if rule5 else None
                    if only is not None:
                        admissible = admissible & (self._table.new if only else ~self._table.new)
                    failing = self._diversity.failing() if rule4 else None
                    if failing is not None:
                        admissible = admissible & ~failing
                count = shelf.ground.count(admissible)
                if count:
                    drawn = draw(
                        self._table,
                        number,
                        ladder(planned, kind),
                        ground=shelf.ground,
                        admissible=admissible,
                        count=count,
                    )
                    return _Choice(kind, *drawn)
        return None

    def _oldest_seen(self, kinds: Sequence[Kind], among: Mapping[Kind, Mask] | None) -> _Choice | None:
        """The oldest interaction, of the slot's kind if there is one. No choice is left to chance here."""
        for kind in kinds:
            shelf = self._shelves[kind]
            row = shelf.oldest_seen(shelf.seen & (~shelf.blocked if among is None else among[kind]))
            if row is not None:
                return _Choice(kind, row, Pool.EXPLORE, 1.0)
        return None
