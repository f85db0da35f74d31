"""Stage 6: slots, what is admissible at each, and what gave way. SPEC 7.

The rules are in `shelf.py` (1 to 3), `diversity.py` (4) and `newness.py` (5). A choice is a draw over what they let
stand; where they let nothing stand they give way from the last to the third, each no further than it must.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from talentfeed.contracts import Bools, Indices, Ints, Kind, Pool, Rule, Slot
from talentfeed.ranking.diversity import Diversity, SkillIndex
from talentfeed.ranking.newness import Newness, within_band
from talentfeed.ranking.shelf import BLOCKED, SEEN, Listing, Shelf, Window

_FALL_THROUGH = (Pool.AFFINITY, Pool.POPULAR, Pool.FRESH)  # of a flow slot without flows
# keep new videos for the fresh slots, rule 5, rule 4
_Strictness = tuple[tuple[bool, bool, bool], ...]
_WHOLE: _Strictness = ((True, True, True), (False, True, True))
_RELAXED: _Strictness = ((False, False, True), (False, True, False), (False, False, False))


class Shortlist(Protocol):
    """What a pool offers: rows, and a distribution over the admissible of them."""

    @property
    def rows(self) -> Ints:
        """Rows of the pool's kind."""

    def draw(self, admissible: Bools, uniform: float) -> tuple[int, float] | None:
        """Place on the shortlist and its probability; None where nothing is admissible."""

    def probability(self, admissible: Bools, place: int) -> float:
        """Of drawing that admissible place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One kind of item, as the stages before left it."""

    listing: Listing
    kept: Bools  # (n,)
    seen: Indices  # left out only because already seen, oldest interaction first


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All that a slate is made of."""

    offers: Mapping[Kind, Offer]  # the kinds that the endpoint serves
    shortlists: Mapping[Pool, Shortlist]
    skills: SkillIndex
    new: Bools  # (videos,)
    pattern: Sequence[Pool]  # one pool a slot
    recent_creators: Sequence[Sequence[int]]
    epsilon: float
    explore_uniforms: Sequence[float]  # U[0, 1) a slot: below epsilon the slot explores
    draw_uniforms: Sequence[float]  # U[0, 1) a slot


@dataclass(frozen=True, slots=True)
class _Choice:
    kind: Kind
    row: int
    pool: Pool
    probability: float
    explored: bool = False


def fill(table: Table) -> tuple[list[Slot], list[Rule]]:
    """The slots of a feed, and the rules that gave way over all of it in the declared order."""
    feed = _Feed(table)
    slots: list[Slot] = []
    for number, planned in enumerate(table.pattern):
        choice, broken = feed.choose(number, planned)
        if choice is None:
            break
        feed.serve(choice)
        slots.append(Slot(choice.kind, choice.row, choice.pool, planned, choice.probability, choice.explored, broken))
    videos = [slot.index for slot in slots if slot.kind is Kind.VIDEO]
    gave_way = {rule for slot in slots for rule in slot.gave_way} - {Rule.NEW_CONTENT}
    if not within_band(len(videos), int(np.count_nonzero(table.new[videos]))):
        gave_way.add(Rule.NEW_CONTENT)
    return slots, [rule for rule in Rule if rule in gave_way]


class _Feed:
    """A feed half filled."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._shelves = {kind: Shelf(o.listing, o.kept, o.seen) for kind, o in table.offers.items()}
        self._newness = Newness(table.pattern, table.new, self._shelves.get(Kind.VIDEO), self._shelves.get(Kind.FLOW))
        self._window = Window(self._shelves, table.recent_creators)
        self._diversity = Diversity(table.skills)
        self._order = {own: sorted(self._shelves, key=lambda kind: kind is not own) for own in Kind}

    def choose(self, number: int, planned: Pool) -> tuple[_Choice | None, tuple[Rule, ...]]:
        """The choice that breaks least and what it breaks; None where nothing is left."""
        self._newness.at(number, planned)
        kinds = self._order[Kind.FLOW if planned is Pool.FLOW else Kind.VIDEO]
        shelves = self._shelves
        choice = self._unseen(number, planned, {kind: shelves[kind].free for kind in kinds}, _WHOLE)
        if choice is not None:
            return choice, ()
        choice = self._unseen(number, planned, {kind: shelves[kind].free for kind in kinds}, _RELAXED)
        choice = choice or self._oldest_seen({kind: shelves[kind].state == SEEN for kind in kinds})
        if choice is None:
            shrunk = self._window.shrunk()
            unseen = {kind: partial(shelves[kind].unseen, shrunk[kind]) for kind in kinds}
            choice = self._unseen(number, planned, unseen, _WHOLE + _RELAXED)
            choice = choice or self._oldest_seen({kind: shrunk[kind] for kind in kinds})
        return choice, self._broken_by(choice) if choice else ()

    def serve(self, choice: _Choice) -> None:
        """Take the item off its shelf and let every rule know."""
        shelf = self._shelves[choice.kind]
        if choice.kind is Kind.VIDEO:
            self._newness.take(choice.row, seen=bool(shelf.state[choice.row] & SEEN))
            self._diversity.take(choice.row)
        shelf.take(choice.row)
        self._window.push((int(shelf.listing.creator[choice.row]),))

    def _broken_by(self, choice: _Choice) -> tuple[Rule, ...]:
        """The rules that this choice breaks, in the declared order."""
        state = int(self._shelves[choice.kind].state[choice.row])
        is_video = choice.kind is Kind.VIDEO
        broken = {
            Rule.NEW_CONTENT: is_video and not self._newness.admits(choice.row),
            Rule.SKILL_DIVERSITY: is_video and not self._diversity.admits(choice.row),
            Rule.ALREADY_SEEN: bool(state & SEEN),
            Rule.CREATOR_WINDOW: bool(state & BLOCKED),
        }
        return tuple(rule for rule in Rule if broken[rule])

    def _unseen(
        self,
        number: int,
        planned: Pool,
        standing: Mapping[Kind, Callable[[], Bools]],  # what rules 1 to 3 let stand; the slot's kind first
        strictness: _Strictness,
    ) -> _Choice | None:
        """Down the ladder of pools, at each strictness."""
        for keep_for_fresh, rule5, rule4 in strictness:
            for kind, admissible in standing.items():
                if kind is Kind.FLOW:
                    if keep_for_fresh and planned is not Pool.FLOW:
                        continue
                    choice = self._draw(number, planned, kind, admissible())
                else:
                    only = self._newness.only(keep_for_fresh=keep_for_fresh) if rule5 else None
                    passes = self._diversity.passes() if rule4 else None
                    choice = self._draw(number, planned, kind, _both(admissible(), self._aged(only), passes))
                if choice is not None:
                    return choice
        return None

    def _draw(self, number: int, planned: Pool, kind: Kind, admissible: Bools) -> _Choice | None:
        """From the first pool of the ladder that has something admissible, mixed with the share epsilon."""
        count = int(np.count_nonzero(admissible))
        if not count:
            return None
        uniform, epsilon = self._table.draw_uniforms[number], self._table.epsilon
        explored = self._table.explore_uniforms[number] < epsilon
        for pool in _ladder(planned, kind):
            shortlist = self._table.shortlists[pool]
            among = admissible[shortlist.rows]
            drawn = shortlist.draw(among, uniform)
            if drawn is None:
                continue
            place, probability = drawn
            row = int(shortlist.rows[place])
            if explored:
                row = _nth(admissible, uniform, count)
                places = np.flatnonzero(shortlist.rows == row)
                probability = shortlist.probability(among, int(places[0])) if len(places) else 0.0
            return _Choice(kind, row, pool, (1.0 - epsilon) * probability + epsilon / count, explored)
        return _Choice(kind, _nth(admissible, uniform, count), Pool.EXPLORE, 1.0 / count, explored)

    def _oldest_seen(self, among: Mapping[Kind, Bools]) -> _Choice | None:
        """The oldest interaction, of the slot's kind if there is one. No choice is left to chance here."""
        for kind, admissible in among.items():
            row = self._shelves[kind].oldest_seen(admissible)
            if row is not None:
                return _Choice(kind, row, Pool.EXPLORE, 1.0)
        return None

    def _aged(self, only: bool | None) -> Bools | None:
        return None if only is None else self._table.new if only else ~self._table.new


def _ladder(planned: Pool, kind: Kind) -> Sequence[Pool]:
    """The pools to try for a kind, before explore."""
    if kind is Kind.FLOW:
        return (Pool.FLOW,)
    if planned is Pool.FLOW:
        return _FALL_THROUGH
    return () if planned is Pool.EXPLORE else (planned,)


def _both(admissible: Bools, *more: Bools | None) -> Bools:
    for mask in more:
        if mask is not None:
            admissible = admissible & mask
    return admissible


def _nth(admissible: Bools, uniform: float, count: int) -> int:
    """A uniform draw over the admissible, by row."""
    return int(np.flatnonzero(admissible)[min(int(uniform * count), count - 1)])
