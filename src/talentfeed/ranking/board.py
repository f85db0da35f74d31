"""Stage 5, its search: the best of a pool without scoring every video.

Each pool's candidates stand in the order of a bound that no score of theirs can pass, whoever asks: the moving columns
at the values that favour them most. The first are scored exactly; whoever has a bound below the last place on the
shortlist cannot enter it, so the rest of the order is not looked at. What is returned is what a full scan returns.

The bound, with m the moving columns' upper ends, X = 2 M s and ( )+ the positive part:
x^T M x <= s^T M s + sum_j (X_j)+ m_j + max z^T M z, and theta^T z <= sum_j (theta_j)+ m_j. Recency only falls with
time, so it is bounded where the snapshot's newest video was made, a day before to be safe from clocks. Rounding is
covered by a margin far above it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Self

import numpy as np

from talentfeed.contracts import NEW_DAYS, SECONDS_PER_DAY, Bools, Floats, Ints, Pool
from talentfeed.ranking.features import MATCH, SIMILARITY, Catalogue, Facts, Taste, youth
from talentfeed.ranking.linucb import Prepared
from talentfeed.ranking.presets import PoolWeights
from talentfeed.ranking.scoring import N_MOVING, Fixed, Moment, Weights, score

FIRST = 512  # rows of each pool that are scored before anything is pruned, measured
WHOLE = 4_096  # videos up to which all are scored at once, measured
_GROWTH = 3
_MOST = 8_192  # rows scored at once: what lies between stays in the processor's caches
_SMALL = 32_768
_MARGIN = 1e-9
_RECENCY, _CITY, _CONNECTION, _INFLUENCE, _NOISE = 0, 3, 4, 5, 6
_MOST_RECENT = 1.5
_LEEWAY = SECONDS_PER_DAY


@dataclass(frozen=True, slots=True)
class Board:
    """One pool's candidates, best bound first; then the other videos."""

    rows: Ints  # (n,)
    fixed: Fixed  # (1, n)
    weights: Weights
    falling: Floats  # (members,) minus the bound, without what `ceiling` adds: ascending
    members: int
    facts: Facts | None  # (n,) kept where the catalogue is small


@dataclass(frozen=True, slots=True)
class Boards:
    """The pools that score videos."""

    catalogue: Catalogue
    pools: Sequence[Pool]
    boards: Sequence[Board]
    weights: Weights  # of all pools
    first: Facts  # (pools, FIRST) the first of each, the last repeated where there are fewer
    first_fixed: Fixed
    first_counts: Sequence[int]  # of each, those that are no repetition
    whole: tuple[Facts, Fixed] | None  # (n,) and (pools, n) by row, where scoring all is faster than pruning
    gate: Bools  # (n,)
    since: float  # bounds hold from this time on
    most_influence: float  # and for viewers of no more than this

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        bandits: Mapping[Pool, Prepared],
        weights: Mapping[Pool, PoolWeights],
        bonus: Mapping[Pool, Floats],  # (n,) each
        gate: Bools,  # (n,)
        *,
        feature_noise: float,
        most_influence: float,
        first: int | None = None,
    ) -> Self:
        """Arrange once a snapshot and policy."""
        since = catalogue.epoch - _LEEWAY
        pools = list(bandits)
        everyone = np.ones(len(gate), np.bool_)
        new = since - catalogue.dated < NEW_DAYS * SECONDS_PER_DAY
        members = {Pool.POPULAR: gate, Pool.AFFINITY: everyone, Pool.FRESH: new}
        together = Weights.of([bandits[p] for p in pools], [weights[p] for p in pools], feature_noise)
        boards = []
        for number, pool in enumerate(pools):
            one = together.only(number)
            bound = _bounds(catalogue, bandits[pool], one, bonus[pool], since=since, most_influence=most_influence)
            boards.append(_arrange(catalogue, bandits[pool], one, bonus[pool], bound=bound, member=members[pool]))
        width = min(FIRST if first is None else first, len(gate))
        counts = [min(width, board.members) for board in boards]
        span = [np.minimum(np.arange(width), max(count - 1, 0)) for count in counts]
        return cls(
            catalogue=catalogue,
            pools=pools,
            boards=boards,
            weights=together,
            first=catalogue.facts(np.stack([b.rows[s] for b, s in zip(boards, span, strict=True)])),
            first_fixed=_kept(
                Fixed(
                    np.stack([b.fixed.base[0, s] for b, s in zip(boards, span, strict=True)]),
                    np.stack([b.fixed.width[0, s] for b, s in zip(boards, span, strict=True)]),
                    np.stack([b.fixed.cross[:, 0, s] for b, s in zip(boards, span, strict=True)], axis=1),
                )
            ),
            first_counts=counts,
            whole=(
                catalogue.all_facts(),
                _kept(
                    Fixed(
                        np.stack([bandits[p].base + bonus[p] for p in pools]),
                        np.stack([bandits[p].base_width for p in pools]),
                        np.stack([bandits[p].cross for p in pools], axis=1),
                    )
                ),
            )
            if len(gate) <= WHOLE
            else None,
            gate=gate,
            since=since,
            most_influence=most_influence,
        )

    def moment(self, taste: Taste, seed: int, now: float) -> Moment:
        """A request, for `score`."""
        return Moment(taste, seed, now, self.catalogue.epoch)

    def best(
        self,
        moment: Moment,
        out: Bools,  # (n,) who may not enter
        sizes: Sequence[int],  # by pool
        *,
        prune: bool = True,
    ) -> list[tuple[Ints, Floats]]:
        """Rows and scores of each pool's best, best first; of equal scores the lower row."""
        if self.whole:
            return self._of_all(self.whole, moment, out, sizes)
        sound = prune and moment.now >= self.since and moment.taste.influence <= self.most_influence
        scores, new = score(self.first, self.first_fixed, self.weights, moment)
        free = ~out.take(self.first.rows)
        found = []
        for number, board in enumerate(self.boards):
            done = self.first_counts[number]
            kept = free[number, :done]
            if self.pools[number] is Pool.FRESH:
                kept = kept & new[number, :done]
            rows, values = self.first.rows[number, :done][kept], scores[number, :done][kept]
            ceiling = _ceiling(board.weights, moment.taste)
            while True:
                end = board.members if sound else len(board.rows)
                if len(values) >= sizes[number]:
                    bar = float(np.partition(values, len(values) - sizes[number])[len(values) - sizes[number]])
                    high = values >= bar
                    rows, values = rows[high], values[high]
                if sound and len(values) >= sizes[number]:
                    margin = _MARGIN * (1.0 + abs(bar) + abs(ceiling))
                    end = int(board.falling.searchsorted(ceiling - bar + margin, side="right"))
                if end <= done:
                    break
                more = slice(done, min(end, _GROWTH * done + FIRST, done + _MOST))
                block, scored = self._score(board, more, moment, out, number)
                rows, values, done = np.concatenate([rows, block]), np.concatenate([values, scored]), more.stop
            found.append(_top(rows, values, sizes[number]))
        return found

    def _of_all(
        self, whole: tuple[Facts, Fixed], moment: Moment, out: Bools, sizes: Sequence[int]
    ) -> list[tuple[Ints, Floats]]:
        scores, new = score(*whole, self.weights, moment)
        free = ~out
        kept = {Pool.POPULAR: free & self.gate, Pool.AFFINITY: free, Pool.FRESH: free & new}
        found = []
        for pool, values, size in zip(self.pools, scores, sizes, strict=True):
            rows = kept[pool].nonzero()[0]
            found.append(_top(rows, values.take(rows), size, ascending=True))
        return found

    def everything(self, moment: Moment) -> dict[Pool, Floats]:
        """The score of every video in each pool, candidate or not, (n,) each."""
        scores = {}
        for pool, board in zip(self.pools, self.boards, strict=True):
            values, _ = score(self.catalogue.facts(board.rows), board.fixed, board.weights, moment)
            scores[pool] = np.empty(len(board.rows))
            scores[pool][board.rows] = values[0]
        return scores

    def _score(self, board: Board, span: slice, moment: Moment, out: Bools, number: int) -> tuple[Ints, Floats]:
        fixed = board.fixed
        part = Fixed(fixed.base[:, span], fixed.width[:, span], fixed.cross[:, :, span])
        rows = board.rows[span]
        facts = board.facts.part(span) if board.facts else self.catalogue.facts(rows)
        values, new = score(facts, part, board.weights, moment)
        kept = ~out.take(rows)
        if self.pools[number] is Pool.FRESH:
            kept &= new
        if span.stop > board.members and self.pools[number] is Pool.POPULAR:
            kept[max(board.members - span.start, 0) :] = False
        return rows[kept], values[0, kept]


def _kept(fixed: Fixed) -> Fixed:
    return replace(fixed, tiled=fixed.in_tiles())


def _top(rows: Ints, values: Floats, size: int, *, ascending: bool = False) -> tuple[Ints, Floats]:
    if len(values) > size:
        high = (values >= np.partition(values, len(values) - size)[len(values) - size]).nonzero()[0]
        rows, values = rows.take(high), values.take(high)
    if not ascending:
        order = rows.argsort()
        rows, values = rows.take(order), values.take(order)
    order = (-values).argsort(kind="stable")[:size]
    return rows.take(order), values.take(order)


def _arrange(
    catalogue: Catalogue, bandit: Prepared, weights: Weights, bonus: Floats, *, bound: Floats, member: Bools
) -> Board:
    bound = np.where(member, bound, -np.inf)
    rows = np.argsort(-bound, kind="stable")
    members = int(np.count_nonzero(member))
    return Board(
        rows=rows,
        fixed=Fixed(
            (bandit.base + bonus)[rows][None],
            bandit.base_width[rows][None],
            np.ascontiguousarray(bandit.cross[:, rows])[:, None],
        ),
        weights=weights,
        falling=-bound[rows[:members]],
        members=members,
        facts=catalogue.facts(rows) if len(rows) <= _SMALL else None,
    )


def _bounds(
    catalogue: Catalogue, bandit: Prepared, weights: Weights, bonus: Floats, *, since: float, most_influence: float
) -> Floats:
    """Of each video, (n,): what a score cannot pass, without what `_ceiling` adds."""
    age = youth(catalogue.facts(np.arange(len(bonus))), catalogue.epoch, since)
    most = np.array([_MOST_RECENT, 1.0, 1.0, 1.0, 1.0, most_influence, weights.feature_noise])
    rest = np.array(list(product(*((0.0, end) for end in most[1:]))))
    square = bandit.inverse[1:, 1:]
    width = bandit.base_width + max(float(np.einsum("vj,jk,vk->v", rest, square, rest).max()), 0.0)
    for j in range(1, N_MOVING):
        width += np.maximum(bandit.cross[j], 0.0) * most[j]
    along = 2.0 * float(np.maximum(bandit.inverse[0, 1:], 0.0) @ most[1:])
    width += age.boosted * (np.maximum(bandit.cross[0], 0.0) + along + bandit.inverse[0, 0] * age.boosted)
    np.maximum(width, 0.0, out=width)
    alpha, beta = max(float(weights.alpha[0, 0]), 0.0), max(float(weights.beta_variance[0, 0]), 0.0)
    bound: Floats = bandit.base + bonus + max(float(weights.linear[_RECENCY, 0, 0]), 0.0) * age.boosted
    bound += alpha * np.sqrt(width) + beta * width
    bound += max(float(weights.new[0, 0]), 0.0) * age.new
    bound += max(float(weights.recency[0, 0]), 0.0) * age.recency
    bound += max(weights.noise[0], 0.0)
    size = np.abs(bandit.base) + np.abs(bonus) + np.abs(bandit.cross).sum(axis=0) + width + np.abs(bound)
    bound += _MARGIN * (1.0 + size)
    return bound


def _ceiling(weights: Weights, taste: Taste) -> float:
    """What the viewer's columns can add to theta^T s at most."""
    most = {
        SIMILARITY: 1.0,
        MATCH: 1.0,
        _CITY: float(taste.cities is not None),
        _CONNECTION: float(taste.creators is not None),
        _NOISE: weights.feature_noise,
    }
    linear = weights.linear[:, 0, 0].tolist()
    return float(linear[_INFLUENCE] * taste.influence + sum(max(linear[j], 0.0) * end for j, end in most.items()))
