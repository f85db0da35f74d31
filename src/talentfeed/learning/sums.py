"""What was learned, as sums: of increments from any number of learners, in any order, it is the same. DESIGN 5.

A bandit's A is what its preset starts from (I) + gram, so forgetting, A <- gamma A + (1 - gamma) I, is
gram <- gamma gram: the ridge always stays.
Errors decay by their place among the bandit's impressions, not by when somebody learned from them; sums of different
ages are brought to the same place before they are added, so that they too may come in any order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import BanditState, Counts, Floats, Ints, Kind, Policy
from talentfeed.errors import PolicyError
from talentfeed.impressions import Shape
from talentfeed.ranking.feed import initial_policy
from talentfeed.ranking.presets import DECAY, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditSums:
    """d = features."""

    gram: Floats  # (d, d) sum x x^T
    b: Floats  # (d,) sum r x
    weight: float  # impressions in gram and b; forgetting shrinks it with them
    last: int  # ordinal of the newest impression in the errors
    error_n: float  # sums of prediction errors, each times DECAY^(last - its ordinal)
    error_sum: float
    error_sum2: float
    rewards: int  # impressions that were learned from; never shrinks


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Posterior counts by item, ascending by (kind, id), each once. n = items."""

    kind: NDArray[np.uint8]  # (n,)
    id: Ints  # (n,)
    shown: Floats  # (n,)
    rewarded: Floats  # (n,) sum of rewards


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """All of it: an increment, or the base that increments are folded into."""

    bandits: Mapping[str, BanditSums]
    items: Items
    impressions: int  # all of them, flows included; never shrinks
    reward: float  # their sum; never shrinks


NO_ITEMS = Items(kind=np.zeros(0, np.uint8), id=np.zeros(0, np.int64), shown=np.zeros(0), rewarded=np.zeros(0))


def nothing(shape: Shape) -> Sums:
    """Adding it changes nothing."""
    bandits = dict.fromkeys(shape.bandits, _none(shape.d))
    return Sums(bandits=bandits, items=NO_ITEMS, impressions=0, reward=0.0)


def _none(d: int) -> BanditSums:
    return BanditSums(
        gram=np.zeros((d, d)),
        b=np.zeros(d),
        weight=0.0,
        last=0,
        error_n=0.0,
        error_sum=0.0,
        error_sum2=0.0,
        rewards=0,
    )


def of_rewards(
    x: Floats,  # (n, d)
    reward: Floats,  # (n,)
    predicted: Floats,  # (n,)
    ordinal: Ints,  # (n,)
) -> BanditSums:
    """What these impressions add to one bandit."""
    if not len(reward):
        return _none(x.shape[1])
    last = int(ordinal.max())
    error = reward - predicted
    decayed = DECAY ** (last - ordinal).astype(np.float64)
    gram = x.T @ x
    return BanditSums(
        gram=(gram + gram.T) / 2.0,
        b=reward @ x,
        weight=float(len(reward)),
        last=last,
        error_n=float(decayed.sum()),
        error_sum=float(decayed @ error),
        error_sum2=float(decayed @ (error * error)),
        rewards=len(reward),
    )


def of_items(
    kind: NDArray[np.uint8],  # (n,) an item may recur
    ids: Ints,  # (n,)
    shown: Floats,  # (n,)
    rewarded: Floats,  # (n,)
) -> Items:
    """Counts by item."""
    order = np.lexsort((ids, kind))
    kind, ids = kind[order], ids[order]
    first = np.ones(len(ids), np.bool_)
    first[1:] = (kind[1:] != kind[:-1]) | (ids[1:] != ids[:-1])
    at = np.flatnonzero(first)
    if not len(at):
        return NO_ITEMS
    return Items(
        kind=kind[at],
        id=ids[at],
        shown=np.add.reduceat(shown[order], at),
        rewarded=np.add.reduceat(rewarded[order], at),
    )


def add(parts: Sequence[Sums]) -> Sums:
    """Their sum, in any order; of one at least. Raises PolicyError where their bandits differ in shape."""
    if len({frozenset(part.bandits) for part in parts}) != 1:
        raise PolicyError("sums of different bandits cannot be added")
    items = [part.items for part in parts]
    return Sums(
        bandits={name: _added([part.bandits[name] for part in parts]) for name in parts[0].bandits},
        items=of_items(
            np.concatenate([one.kind for one in items]),
            np.concatenate([one.id for one in items]),
            np.concatenate([one.shown for one in items]),
            np.concatenate([one.rewarded for one in items]),
        ),
        impressions=sum(part.impressions for part in parts),
        reward=sum(part.reward for part in parts),
    )


def _added(parts: Sequence[BanditSums]) -> BanditSums:
    if len({len(part.b) for part in parts}) != 1:
        raise PolicyError(f"bandits over {sorted({len(part.b) for part in parts})} features cannot be added")
    last = max(part.last for part in parts)
    decayed = [DECAY ** float(last - part.last) for part in parts]
    return BanditSums(
        gram=np.sum([part.gram for part in parts], axis=0),
        b=np.sum([part.b for part in parts], axis=0),
        weight=sum(part.weight for part in parts),
        last=last,
        error_n=sum(by * part.error_n for by, part in zip(decayed, parts, strict=True)),
        error_sum=sum(by * part.error_sum for by, part in zip(decayed, parts, strict=True)),
        error_sum2=sum(by * part.error_sum2 for by, part in zip(decayed, parts, strict=True)),
        rewards=sum(part.rewards for part in parts),
    )


def weighed(sums: Sums, gamma: float) -> Sums:
    """With less weight: forgetting, or history that counts less than what was seen. `gamma` in [0, 1].

    Errors decay by themselves; how many impressions there were stays true.
    """
    return replace(
        sums,
        bandits={
            name: replace(one, gram=gamma * one.gram, b=gamma * one.b, weight=gamma * one.weight)
            for name, one in sums.bandits.items()
        },
        items=replace(sums.items, shown=gamma * sums.items.shown, rewarded=gamma * sums.items.rewarded),
    )


def policy(sums: Sums, version: str, preset: Preset) -> Policy:
    """What ranks by these sums: they are added to what the preset starts from."""
    start = initial_policy(preset).bandits
    videos = sums.items.kind == int(Kind.VIDEO)
    return Policy(
        version=version,
        bandits={pool: _state(start[pool], sums.bandits[pool.value]) for pool in preset.bandits},
        counts=Counts(id=sums.items.id[videos], shown=sums.items.shown[videos], rewarded=sums.items.rewarded[videos]),
    )


def _state(start: BanditState, one: BanditSums) -> BanditState:
    return BanditState(
        A=start.A + one.gram,
        b=start.b + one.b,
        error_n=one.error_n,
        error_sum=one.error_sum,
        error_sum2=one.error_sum2,
        rewards=one.rewards,
    )
