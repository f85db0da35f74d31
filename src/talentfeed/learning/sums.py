"""What was learned, as sums: of increments from any number of learners, in any order, it is the same. DESIGN 5.

A bandit's A is what its preset starts from (I) + gram, so forgetting, A <- gamma A + (1 - gamma) I, is
gram <- gamma gram: the ridge always stays.
Errors decay by their place among the bandit's impressions, not by when somebody learned from them; sums of different
ages are brought to the same place before they are added, so that they too may come in any order.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import BanditState, Counts, Floats, Ints, Kind, Policy
from talentfeed.errors import PolicyError
from talentfeed.impressions import Shape
from talentfeed.ranking.feed import initial_policy
from talentfeed.ranking.linucb import MAX_FEATURE
from talentfeed.ranking.presets import DECAY, Preset

FORM = 1  # of the stored sums
_F8, _I8 = np.dtype("<f8"), np.dtype("<i8")
_SLACK = 1.0 + 1e-9  # of bounds that rounding may touch
_MOST = 1e12  # impressions; far above any log


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


def check(sums: Sums, shape: Shape) -> None:
    """Raise PolicyError for what no impressions can add up to: of another shape, not finite, or out of range."""
    if set(sums.bandits) != set(shape.bandits):
        raise PolicyError(
            f"sums of the bandits {', '.join(sorted(sums.bandits))}, where the preset has {', '.join(shape.bandits)}: "
            "set PRESET to the one they were learned under, or start anew with: talentfeed policy reset"
        )
    if not 0 <= sums.impressions <= _MOST or not 0.0 <= sums.reward <= sums.impressions * _SLACK:
        raise PolicyError(f"{sums.impressions} impressions with a reward of {sums.reward} in all")
    for name, one in sums.bandits.items():
        _check_bandit(name, one, shape.d)
    items = sums.items
    if not (len(items.kind) == len(items.id) == len(items.shown) == len(items.rewarded)):
        raise PolicyError("counts of items that differ in length")
    # written so that NaN fails too
    if not ((items.shown >= 0) & (items.shown <= _MOST)).all():
        raise PolicyError("an item was shown a number of times that there is not")
    if not ((items.rewarded >= 0) & (items.rewarded <= items.shown * _SLACK)).all():
        raise PolicyError("an item was rewarded more than it was shown, or less than never")


def _check_bandit(name: str, one: BanditSums, d: int) -> None:
    if one.gram.shape != (d, d) or one.b.shape != (d,):
        raise PolicyError(f"{name}: gram {one.gram.shape} and b {one.b.shape}; the preset has {d} features")
    if not (0.0 <= one.weight <= one.rewards * _SLACK <= _MOST and one.last >= 0):
        raise PolicyError(f"{name}: {one.rewards} rewards of a weight of {one.weight}")
    most = one.weight * MAX_FEATURE * _SLACK
    if not ((np.abs(one.gram) <= most * MAX_FEATURE).all() and (np.abs(one.b) <= most).all()):
        raise PolicyError(f"{name}: sums that so few impressions cannot have, or that are no numbers")
    if not np.array_equal(one.gram, one.gram.T):
        raise PolicyError(f"{name}: its gram is not symmetric")
    if np.linalg.eigvalsh(one.gram)[0] < -1e-6 * max(float(np.trace(one.gram)), 1.0):
        raise PolicyError(f"{name}: its gram is not the sum of squares")
    errors = (one.error_n, one.error_sum, one.error_sum2)
    if not (np.isfinite(errors).all() and one.error_n >= 0 and one.error_sum2 >= 0):
        raise PolicyError(f"{name}: errors {errors}")


# ---------------------------------------------------------------- bytes


class _Bandit(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    d: int
    upper: bytes
    b: bytes
    weight: float
    last: int
    error_n: float
    error_sum: float
    error_sum2: float
    rewards: int


class _Stored(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    form: int
    bandits: dict[str, _Bandit]
    item_kind: bytes
    item_id: bytes
    shown: bytes
    rewarded: bytes
    impressions: int
    reward: float


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Stored)


def encode(sums: Sums) -> bytes:
    """Every bit of it, in 1.5 KB a bandit and 25 bytes an item."""
    return _encoder.encode(
        _Stored(
            FORM,
            {
                name: _Bandit(
                    len(one.b),
                    one.gram[np.triu_indices(len(one.b))].astype(_F8).tobytes(),
                    one.b.astype(_F8).tobytes(),
                    one.weight,
                    one.last,
                    one.error_n,
                    one.error_sum,
                    one.error_sum2,
                    one.rewards,
                )
                for name, one in sorted(sums.bandits.items())
            },
            sums.items.kind.tobytes(),
            sums.items.id.astype(_I8).tobytes(),
            sums.items.shown.astype(_F8).tobytes(),
            sums.items.rewarded.astype(_F8).tobytes(),
            sums.impressions,
            sums.reward,
        )
    )


def decode(payload: bytes, shape: Shape) -> Sums:
    """`encode` undone, checked. Raises PolicyError."""
    try:
        found = _decoder.decode(payload)
        if found.form != FORM:
            raise PolicyError(f"sums of form {found.form}; this version reads form {FORM}")
        sums = Sums(
            bandits={name: _bandit(one) for name, one in found.bandits.items()},
            items=Items(
                kind=np.frombuffer(found.item_kind, np.uint8),
                id=np.frombuffer(found.item_id, _I8),
                shown=np.frombuffer(found.shown, _F8),
                rewarded=np.frombuffer(found.rewarded, _F8),
            ),
            impressions=found.impressions,
            reward=found.reward,
        )
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise PolicyError(f"these are no sums: {error}") from error
    check(sums, shape)
    return sums


def _bandit(one: _Bandit) -> BanditSums:
    if not 0 < one.d <= 1_024:
        raise PolicyError(f"a bandit of {one.d} features")
    gram = np.zeros((one.d, one.d))
    gram[np.triu_indices(one.d)] = np.frombuffer(one.upper, _F8)
    gram += np.triu(gram, 1).T
    return BanditSums(
        gram=gram,
        b=np.frombuffer(one.b, _F8),
        weight=one.weight,
        last=one.last,
        error_n=one.error_n,
        error_sum=one.error_sum,
        error_sum2=one.error_sum2,
        rewards=one.rewards,
    )


def name_of(number: int, payload: bytes) -> str:
    """A version's name: its number, and what is in it, so that one name is never two policies."""
    return f"{number}-{hashlib.sha256(payload).hexdigest()[:8]}"
