"""What was shown and what came of it, as it waits in Redis for the learner: names and forms. docs/learning.md.

`activity` writes it, `learning` reads it. An impression is one place of a feed; they are kept by feed.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import Floats, Ints, Kind, Pool
from talentfeed.errors import TalentFeedError
from talentfeed.ranking.feed import LEARNING
from talentfeed.ranking.learned import names_of
from talentfeed.ranking.presets import Preset

FORM = 1  # of a stored record
WAITING = "impressions"  # zset: user id -> when (seconds, Redis' clock) the window of their oldest feed is over
COUNTS = "impressions:counts"  # hash: bandit -> how many impressions it has been given: their ordinals

POOLS = tuple(Pool)

_I8, _F4 = np.dtype("<i8"), np.dtype("<f4")
Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What learns under a preset."""

    bandits: tuple[str, ...]  # by the code of the pool that has it
    d: int  # features
    taught: NDArray[np.bool_]  # (len(POOLS), len(bandits)) does a video from this pool teach it


def shape_of(preset: Preset) -> Shape:
    """A pool's videos teach the bandit that scored them. One drawn from `explore` was chosen by no score, and says as
    much to one as to another."""
    bandits = tuple(pool.value for pool in preset.bandits)
    taught = np.zeros((len(POOLS), len(bandits)), np.bool_)
    for pool in LEARNING:
        taught[POOLS.index(pool), bandits.index(preset.bandit_of(pool).value)] = True
    taught[POOLS.index(Pool.EXPLORE)] = True
    return Shape(bandits=bandits, d=len(names_of(preset)), taught=taught)


class DamagedImpressionError(TalentFeedError):
    """What waits is no record of a feed of this form."""


def shown(user_id: int) -> str:
    """List: a user's feeds whose window is not over, or that were not learned from yet; the newest at the head."""
    return f"shown:{user_id}"


def outcomes(user_id: int) -> str:
    """Text: what a user's client reported, a line each, oldest first; see `line`."""
    return f"outcomes:{user_id}"


class _Stored(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    form: int
    user_id: int
    at: float
    snapshot: str
    policy: str
    preset: str
    kinds: bytes
    ids: bytes
    pools: bytes
    probabilities: bytes
    features: bytes
    predicted: bytes


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Stored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impressions:
    """A feed as it was served. n = places, v = those that are videos, d = features, k = bandits of the preset."""

    user_id: int
    at: float  # when it was served, seconds UTC
    snapshot: str
    policy: str  # version
    preset: str
    kinds: NDArray[np.uint8]  # (n,)
    ids: Ints  # (n,)
    pools: NDArray[np.uint8]  # (n,) places in POOLS
    probabilities: Singles  # (n,) of each choice
    features: Singles  # (v, d) of the videos, as they were ranked
    predicted: Singles  # (v, k) what each bandit expected of them then

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def videos(self) -> NDArray[np.int64]:
        """(v,) places that are videos: the rows of `features`."""
        return np.flatnonzero(self.kinds == int(Kind.VIDEO))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A stored record: what Redis' script put before it, and the rest."""

    feed_id: str
    due: float  # when its window is over, Redis' clock
    last: dict[str, int]  # bandit -> the ordinal of its last impression in this feed
    body: bytes


def encode(one: Impressions) -> bytes:
    """The record's body."""
    return _encode(
        _Stored(
            FORM,
            one.user_id,
            one.at,
            one.snapshot,
            one.policy,
            one.preset,
            one.kinds.tobytes(),
            one.ids.astype(_I8, copy=False).tobytes(),
            one.pools.tobytes(),
            one.probabilities.astype(_F4, copy=False).tobytes(),
            one.features.astype(_F4, copy=False).tobytes(),
            one.predicted.astype(_F4, copy=False).tobytes(),
        )
    )


def decode(body: bytes) -> Impressions:
    """`encode` undone. Raises DamagedImpressionError: not of this form, of unequal lengths, or of unknown codes."""
    try:
        found = _decoder.decode(body)
        kinds, pools = np.frombuffer(found.kinds, np.uint8), np.frombuffer(found.pools, np.uint8)
        ids = np.frombuffer(found.ids, _I8)
        probabilities = np.frombuffer(found.probabilities, _F4)
        videos = int((kinds == int(Kind.VIDEO)).sum())
        features = np.frombuffer(found.features, _F4).reshape(videos, -1 if videos else 0)
        predicted = np.frombuffer(found.predicted, _F4).reshape(videos, -1 if videos else 0)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DamagedImpressionError(f"Not the record of a feed: {error}") from error
    if found.form != FORM:
        raise DamagedImpressionError(f"A feed's record of form {found.form}; this version reads form {FORM}")
    if not len(kinds) == len(pools) == len(ids) == len(probabilities):
        raise DamagedImpressionError("Not the record of a feed: its columns differ in length")
    if (kinds >= len(Kind)).any() or (pools >= len(POOLS)).any():
        raise DamagedImpressionError("Not the record of a feed: a kind or pool that there is not")
    return Impressions(
        user_id=found.user_id,
        at=found.at,
        snapshot=found.snapshot,
        policy=found.policy,
        preset=found.preset,
        kinds=kinds,
        ids=ids,
        pools=pools,
        probabilities=probabilities,
        features=features,
        predicted=predicted,
    )


def counts(one: Impressions, shape: Shape) -> str:
    """How many impressions each bandit is given by a feed, as the script takes it."""
    pools = one.pools[one.kinds == int(Kind.VIDEO)]
    given = shape.taught[pools].sum(axis=0).tolist()
    return ",".join([f"{name}={n}" for name, n in zip(shape.bandits, given, strict=True)])


def waiting(stored: bytes) -> Waiting:
    """A list's element. Raises DamagedImpressionError."""
    head, found, body = stored.partition(b"\n")
    try:
        feed_id, due, ordinals = head.decode("ascii").split(" ")
        last = {name: int(n) for name, n in (part.split("=") for part in ordinals.split(","))}
        at = float(due)
    except ValueError as error:
        raise DamagedImpressionError(f"Not a feed that waits: {error}") from error
    if not found or not np.isfinite(at):
        raise DamagedImpressionError("Not a feed that waits: its head is cut short")
    return Waiting(feed_id=feed_id, due=at, last=last, body=body)


# ---------------------------------------------------------------- what clients report


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One event as it came in."""

    at: float  # when it was accepted, Redis' clock
    kind: Kind
    item_id: int
    event_type: str
    value: float | None
    watch_ratio: float | None
    feed_id: str | None


def line(
    kind: Kind, item_id: int, event_type: str, *, value: float | None, watch_ratio: float | None, feed_id: str | None
) -> bytes:
    """An event without its time, which the script puts before it."""
    fields = (int(kind), item_id, event_type, value, watch_ratio, feed_id)
    return " ".join("-" if field is None else str(field) for field in fields).encode() + b"\n"


def read_outcomes(stored: bytes | None) -> tuple[list[Outcome], int]:
    """→ the events in the order in which they came, and how many lines are none and are left out."""
    found, skipped = [], 0
    for text in (stored or b"").splitlines():
        try:
            at, kind, item_id, event_type, value, ratio, feed_id = text.decode().split(" ")
            found.append(
                Outcome(
                    at=float(at),
                    kind=Kind(int(kind)),
                    item_id=int(item_id),
                    event_type=event_type,
                    value=None if value == "-" else float(value),
                    watch_ratio=None if ratio == "-" else float(ratio),
                    feed_id=None if feed_id == "-" else feed_id,
                )
            )
        except ValueError:  # also UnicodeDecodeError
            skipped += 1
    return found, skipped


def prediction(
    features: Singles,  # (v, d)
    theta: Floats,  # (d, k)
) -> Singles:
    """What the bandits expect of videos, (v, k)."""
    found: Singles = (features @ theta).astype(np.float32)
    return found
