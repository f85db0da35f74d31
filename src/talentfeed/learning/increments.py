"""Feeds whose window is over, and what came of them → what they add to the policy. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from talentfeed import impressions
from talentfeed.contracts import Floats, Ints
from talentfeed.impressions import DamagedImpressionError, Impressions, Shape, Waiting
from talentfeed.learning import rewards, sums
from talentfeed.learning.payloads import MOST_EXPECTED
from talentfeed.learning.rewards import Feed
from talentfeed.learning.sums import Sums
from talentfeed.ranking.linucb import MAX_FEATURE

_NAME = 32  # bytes of a feed's id


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumed:
    """The oldest feeds of one user, which an increment is made of."""

    user_id: int
    feeds: int
    oldest: bytes  # how it begins as it is stored: its feed's id
    newest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What one user's feeds came to."""

    consumed: Consumed
    rows: Sequence["Rows"]
    refused: int  # impressions that could not be learned from


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A feed with its rewards. n = places, v = videos that taught something."""

    feed_id: str
    feed: Impressions
    reward: Floats  # (n,)
    sound: Ints  # (v',) rows of `feed.features` that are numbers within bounds
    last: dict[str, int]  # bandit -> the ordinal of its last impression in the feed


def of_user(
    user_id: int,
    stored: Sequence[bytes],  # the user's list, newest at the head
    told: bytes | None,  # the user's outcomes
    *,
    shape: Shape,
    now: float,
    window: float,
) -> Learned | None:
    """What the feeds whose window is over by `now` (Redis' clock) teach. None: none is due yet.

    A feed that cannot be read teaches nothing, and goes all the same: it would hold up those after it for ever.
    """
    heads: list[Waiting | None] = []
    for one in reversed(stored):
        try:
            heads.append(impressions.waiting(one))
        except DamagedImpressionError:
            heads.append(None)
    due = 0
    for head in heads:  # oldest first; a broken one goes with its neighbours
        if head is not None and head.due > now:
            break
        due += 1
    if not due:
        return None
    feeds: list[Feed] = []
    kept: list[tuple[Waiting, Impressions]] = []
    refused = 0
    for number, head in enumerate(heads):
        try:
            if head is None:
                raise DamagedImpressionError("no head")
            feed = impressions.decode(head.body)
        except DamagedImpressionError:
            refused += number < due
            continue
        feeds.append(
            Feed(
                feed_id=head.feed_id, recorded=head.due - window, due=head.due, kinds=feed.kinds.tolist(), ids=feed.ids
            )
        )
        if number < due:
            kept.append((head, feed))
    outcomes, _ = impressions.read_outcomes(told)
    found = rewards.attribute(feeds, outcomes)
    rows = []
    for (head, feed), reward in zip(kept, found, strict=False):  # feeds not due yet come after
        sound = _sound(feed, shape)
        refused += len(feed.features) - len(sound)
        rows.append(Rows(feed_id=head.feed_id, feed=feed, reward=reward, sound=sound, last=head.last))
    consumed = Consumed(user_id=user_id, feeds=due, oldest=stored[-1][:_NAME], newest=stored[-due][:_NAME])
    return Learned(consumed=consumed, rows=rows, refused=refused)


def _sound(feed: Impressions, shape: Shape) -> Ints:
    if feed.features.shape[1] != shape.d or feed.predicted.shape[1] != len(shape.bandits):
        return np.zeros(0, np.int64)
    # written so that NaN fails too
    fine = (np.abs(feed.features) <= MAX_FEATURE).all(axis=1) & (np.abs(feed.predicted) <= MOST_EXPECTED).all(axis=1)
    return np.flatnonzero(fine)


def add_up(learned: Sequence[Learned], shape: Shape) -> Sums | None:
    """One increment of them all; None: they come to nothing."""
    rows = [one for user in learned for one in user.rows if len(one.feed)]
    if not rows:
        return None
    parts = [_bandit_rows(one, shape) for one in rows]
    x, reward, predicted, teaches, ordinal = (
        np.concatenate([part[column] for part in parts]) for column in range(len(parts[0]))
    )
    kind = np.concatenate([one.feed.kinds for one in rows])
    ids = np.concatenate([one.feed.ids for one in rows])
    whole = np.concatenate([one.reward for one in rows])
    return Sums(
        bandits={
            name: sums.of_rewards(
                x[teaches[:, number]],
                reward[teaches[:, number]],
                predicted[teaches[:, number], number],
                ordinal[teaches[:, number], number],
            )
            for number, name in enumerate(shape.bandits)
        },
        items=sums.of_items(kind, ids, np.ones(len(ids)), whole),
        impressions=len(ids),
        reward=float(whole.sum()),
    )


def _bandit_rows(one: Rows, shape: Shape) -> tuple[Floats, Floats, Floats, np.ndarray, Ints]:
    """Of a feed's videos: features, rewards, predictions, which bandits they teach, and their ordinals there."""
    videos, sound = one.feed.videos, one.sound
    if not len(sound):
        none = np.zeros((0, len(shape.bandits)))
        return np.zeros((0, shape.d)), np.zeros(0), none, none.astype(np.bool_), none.astype(np.int64)
    taught = shape.taught[one.feed.pools[videos]]
    before = np.array([one.last.get(name, 0) for name in shape.bandits], np.int64) - taught.sum(axis=0)
    ordinal = before + np.cumsum(taught, axis=0)
    return (
        one.feed.features[sound].astype(np.float64),
        one.reward[videos[sound]],
        one.feed.predicted[sound].astype(np.float64),
        taught[sound],
        np.maximum(ordinal[sound], 0),
    )


class Judged(msgspec.Struct, array_like=True):
    """A feed and what came of it, kept so that other policies can be judged on it."""

    feed_id: str
    record: bytes  # as `feed:{feed_id}` holds it
    reward: list[float]  # by place
