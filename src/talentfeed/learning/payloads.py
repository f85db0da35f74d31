"""Sums as bytes, and what must hold of them: what comes from a store may be damaged, or somebody else's."""

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np

from talentfeed.errors import PolicyError
from talentfeed.impressions import Shape
from talentfeed.learning import sums as arithmetic
from talentfeed.learning.sums import BanditSums, Items, Sums
from talentfeed.ranking.linucb import MAX_FEATURE

FORM = 1  # of the stored sums
MOST_EXPECTED = 1e6  # that a bandit may have expected of an impression
MOST_AT_ONCE = 1e9  # impressions of one increment
_F8, _I8 = np.dtype("<f8"), np.dtype("<i8")
_SLACK = 1.0 + 1e-9  # of bounds that rounding may touch
_MOST = 1e12  # impressions; far above any log


def check(sums: Sums, shape: Shape, *, most: float = _MOST) -> None:
    """Raise PolicyError for what no impressions can add up to: of another shape, not finite, or out of range.

    `most`: so many impressions there may be.
    """
    if set(sums.bandits) != set(shape.bandits):
        raise PolicyError(
            f"sums of the bandits {', '.join(sorted(sums.bandits))}, where the preset has {', '.join(shape.bandits)}: "
            "set PRESET to the one they were learned under, or start anew with: talentfeed policy reset"
        )
    if not 0 <= sums.impressions <= most or not 0.0 <= sums.reward <= sums.impressions * _SLACK:
        raise PolicyError(f"{sums.impressions} impressions with a reward of {sums.reward} in all")
    for name, one in sums.bandits.items():
        _check_bandit(name, one, shape.d, most)
    items = sums.items
    if not (len(items.kind) == len(items.id) == len(items.shown) == len(items.rewarded)):
        raise PolicyError("counts of items that differ in length")
    # written so that NaN fails too
    if not ((items.shown >= 0) & (items.shown <= most)).all():
        raise PolicyError("an item was shown a number of times that there is not")
    if not ((items.rewarded >= 0) & (items.rewarded <= items.shown * _SLACK)).all():
        raise PolicyError("an item was rewarded more than it was shown, or less than never")


def _check_bandit(name: str, one: BanditSums, d: int, most: float) -> None:
    if one.gram.shape != (d, d) or one.b.shape != (d,):
        raise PolicyError(f"{name}: gram {one.gram.shape} and b {one.b.shape}; the preset has {d} features")
    if not (0.0 <= one.weight <= one.rewards * _SLACK and one.rewards <= most and 0 <= one.last <= _MOST):
        raise PolicyError(f"{name}: {one.rewards} rewards of a weight of {one.weight}")
    widest = one.weight * MAX_FEATURE * _SLACK
    if not ((np.abs(one.gram) <= widest * MAX_FEATURE).all() and (np.abs(one.b) <= widest).all()):
        raise PolicyError(f"{name}: sums that so few impressions cannot have, or that are no numbers")
    if not np.array_equal(one.gram, one.gram.T):
        raise PolicyError(f"{name}: its gram is not symmetric")
    if np.linalg.eigvalsh(one.gram)[0] < -1e-6 * max(float(np.trace(one.gram)), 1.0):
        raise PolicyError(f"{name}: its gram is not the sum of squares")
    error = (MOST_EXPECTED + 1.0) * _SLACK  # of one impression: a reward is 1 at most
    if not (
        0.0 <= one.error_n <= one.rewards * _SLACK
        and abs(one.error_sum) <= one.error_n * error
        and 0.0 <= one.error_sum2 <= one.error_n * error**2
    ):
        raise PolicyError(f"{name}: errors {(one.error_n, one.error_sum, one.error_sum2)} of {one.rewards} rewards")


def folded(base: Sums, increments: Sequence[bytes], shape: Shape) -> tuple[Sums, list[PolicyError]]:
    """The base with what is sound of the increments, and why the others are not in it. Raises PolicyError for the base.

    One that is sound by itself is refused where the whole would not be: a version that cannot be read would end all
    learning.
    """
    parts, refused = [], []
    for payload in increments:
        try:
            parts.append(decode(payload, shape, most=MOST_AT_ONCE))
        except PolicyError as error:
            refused.append(error)
    whole = arithmetic.add([base, *parts])
    try:
        check(whole, shape)
    except PolicyError:
        whole = base
        for part in parts:
            try:
                more = arithmetic.add([whole, part])
                check(more, shape)
                whole = more
            except PolicyError as error:
                refused.append(error)
    return whole, refused


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


def decode(payload: bytes, shape: Shape, *, most: float = _MOST) -> Sums:
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
    check(sums, shape, most=most)
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
