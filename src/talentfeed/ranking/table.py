"""What a slate is made of: the shortlists, the shelves, the plan, and chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from talentfeed.contracts import Indices, Ints, Kind, Pool
from talentfeed.ranking.diversity import SkillIndex
from talentfeed.ranking.masks import Ground, Mask
from talentfeed.ranking.shelf import Listing

_FALL_THROUGH = (Pool.AFFINITY, Pool.POPULAR, Pool.FRESH)  # of a flow slot without flows


class Shortlist(Protocol):
    """What a pool offers: a distribution over what is admissible of it."""

    @property
    def rows(self) -> Ints:
        """All that it offers."""

    def draw(self, ground: Ground, admissible: Mask, uniform: float) -> tuple[int, float] | None:
        """Row and its probability; None where nothing is admissible."""

    def probability(self, ground: Ground, admissible: Mask, row: int) -> float:
        """Of drawing that admissible row."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind of item, as the stages before left it."""

    listing: Listing
    excluded: Ints  # rows, distinct
    seen: Indices  # left out only because already seen, oldest interaction first


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All that a slate is made of."""

    offers: Mapping[Kind, Offer]  # the kinds that the endpoint serves
    shortlists: Mapping[Pool, Shortlist]
    skills: SkillIndex
    new: Mask  # of the videos
    pattern: Sequence[Pool]  # one pool a slot
    recent_creators: Sequence[Sequence[int]]
    epsilon: float
    explore_uniforms: Sequence[float]  # U[0, 1) a slot: below epsilon the slot explores
    draw_uniforms: Sequence[float]  # U[0, 1) a slot


def ladder(planned: Pool, kind: Kind) -> Sequence[Pool]:
    """The pools to try for a kind, before explore."""
    if kind is Kind.FLOW:
        return (Pool.FLOW,)
    if planned is Pool.FLOW:
        return _FALL_THROUGH
    return () if planned is Pool.EXPLORE else (planned,)


def draw(
    table: Table,
    number: int,  # of the slot
    pools: Sequence[Pool],  # to try before explore
    *,
    ground: Ground,
    admissible: Mask,
    count: int,  # of the admissible, at least 1
) -> tuple[int, Pool, float, bool]:
    """→ row, pool, probability, explored: from the first pool that has something admissible, mixed with epsilon."""
    uniform, epsilon = table.draw_uniforms[number], table.epsilon
    explored = table.explore_uniforms[number] < epsilon
    for pool in pools:
        shortlist = table.shortlists[pool]
        drawn = shortlist.draw(ground, admissible, uniform)
        if drawn is not None:
            row, probability = drawn
            if explored:
                row = _uniform_row(ground, admissible, uniform, count)
                probability = shortlist.probability(ground, admissible, row)
            return row, pool, (1.0 - epsilon) * probability + epsilon / count, explored
    return _uniform_row(ground, admissible, uniform, count), Pool.EXPLORE, 1.0 / count, explored


def _uniform_row(ground: Ground, admissible: Mask, uniform: float, count: int) -> int:
    """A uniform draw over the admissible, by row."""
    return ground.nth(admissible, min(int(uniform * count), count - 1))
