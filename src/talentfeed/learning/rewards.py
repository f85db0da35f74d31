"""What a client reports → the reward of an impression, in [0, 1]. docs/learning.md says why these numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from talentfeed.contracts import EventType, Floats, Ints
from talentfeed.impressions import Outcome

RECORDED = 10.0  # seconds by which a feed may be recorded later than its first event comes in


def _rated(outcome: Outcome) -> float:
    return 0.0 if outcome.value is None else min(max((outcome.value - 1.0) / 4.0, 0.0), 1.0)


def _watched(outcome: Outcome) -> float:
    """Half of what a liking is worth at most: who watches to the end may only have waited for the next."""
    return 0.1 if outcome.watch_ratio is None else 0.5 * min(max(outcome.watch_ratio, 0.0), 1.0)


def _always(reward: float) -> Callable[[Outcome], float]:
    return lambda _: reward


# What the platform is for comes first; what costs the viewer more says more. An unknown event says nothing.
REWARDS: Mapping[str, Callable[[Outcome], float]] = MappingProxyType(
    {
        EventType.MATCH.value: _always(1.0),
        EventType.SHARE.value: _always(0.9),
        EventType.SAVE.value: _always(0.9),
        EventType.LIKE.value: _always(0.8),
        EventType.RATING.value: _rated,  # (value - 1) / 4
        EventType.VIDEO_VIEW.value: _watched,  # half the watched share; 0.1 where it is not told
        EventType.SKIP.value: _always(0.0),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A feed of one user, as far as attribution asks. n = places."""

    feed_id: str
    recorded: float  # seconds, Redis' clock
    due: float  # when its window is over
    kinds: Sequence[int]  # (n,)
    ids: Ints | Sequence[int]  # (n,)


def reward(outcome: Outcome) -> float:
    """Of one event, in [0, 1]."""
    found = REWARDS.get(outcome.event_type)
    return 0.0 if found is None else found(outcome)


def attribute(feeds: Sequence[Feed], outcomes: Sequence[Outcome]) -> list[Floats]:
    """Rewards of each feed's places: the best of the events that are theirs; 0 without any.

    `feeds`: all of a user's that wait, oldest first, those whose window still runs among them. An event that names its
    feed is of that feed; one that names none, of the newest feed that had its item by then. It counts if it came in
    before that feed's window was over. The best, not the sum: a view, a like and a match are steps of one liking; and
    so neither a repeat nor the order changes anything.
    """
    found = [np.zeros(len(feed.ids)) for feed in feeds]
    by_id = {feed.feed_id: number for number, feed in enumerate(feeds)}
    holders: dict[tuple[int, int], list[tuple[int, int]]] = {}  # item -> (feed, place), oldest first
    for number, feed in enumerate(feeds):
        for place, item in enumerate(zip(feed.kinds, feed.ids, strict=True)):
            holders.setdefault((int(item[0]), int(item[1])), []).append((number, place))
    for outcome in outcomes:
        held = holders.get((int(outcome.kind), outcome.item_id))
        if not held:
            continue
        if outcome.feed_id is not None:
            named = by_id.get(outcome.feed_id)
            mine = [one for one in held if one[0] == named]
        else:
            mine = [one for one in held if feeds[one[0]].recorded - RECORDED <= outcome.at]
        if mine and outcome.at <= feeds[mine[-1][0]].due:
            number, place = mine[-1]
            found[number][place] = max(found[number][place], reward(outcome))
    return found


def of_history(kind: str, *, liked: bool) -> float:
    """Of an interaction that a snapshot knows by its kind alone. Ratings count as 4 or 2, views as watched or not."""
    known = {"rating": 0.75 if liked else 0.25, "save": 0.9, "match": 1.0, "share": 0.9, "skip": 0.0}
    return known.get(kind, 0.5 if liked else 0.1)
