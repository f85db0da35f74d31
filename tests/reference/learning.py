"""Learning, slow and obvious: a log of feeds and events, one impression after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import Floats, Pool
from talentfeed.impressions import POOLS, Impressions, Outcome

DECAY = 0.98
BANDITS = ("VMP", "AU", "NU")  # of the preset classic
TAUGHT = {Pool.POPULAR: (0,), Pool.AFFINITY: (1,), Pool.FRESH: (2,), Pool.FLOW: (), Pool.EXPLORE: (0, 1, 2)}


@dataclass(frozen=True, kw_only=True)
class Logged:
    """A feed of a log, with the times of Redis' clock."""

    feed_id: str
    feed: Impressions
    recorded: float
    due: float


def reward_of(event: Outcome) -> float:
    """The table, once more."""
    if event.event_type == "match":
        return 1.0
    if event.event_type in ("share", "save"):
        return 0.9
    if event.event_type == "like":
        return 0.8
    if event.event_type == "rating" and event.value is not None:
        return {1: 0.0, 2: 0.25, 3: 0.5, 4: 0.75, 5: 1.0}[int(event.value)]
    if event.event_type == "video_view":
        return 0.1 if event.watch_ratio is None else min(event.watch_ratio, 1.0) / 2
    return 0.0


def rewards(log: Sequence[Logged], events: Sequence[tuple[int, Outcome]]) -> dict[tuple[str, int], float]:
    """(feed id, place) → reward. `events`: (user id, event); `log` in the order in which it was recorded."""
    found = {(one.feed_id, place): 0.0 for one in log for place in range(len(one.feed))}
    for user_id, event in events:
        own = [one for one in log if one.feed.user_id == user_id]
        if event.feed_id is not None:
            own = [one for one in own if one.feed_id == event.feed_id]
        else:
            own = [one for one in own if one.recorded - 10.0 <= event.at]
        for one in reversed(own):
            places = [
                place
                for place in range(len(one.feed))
                if (int(one.feed.kinds[place]), int(one.feed.ids[place])) == (int(event.kind), event.item_id)
            ]
            if places:
                if event.at <= one.due:
                    key = (one.feed_id, places[0])
                    found[key] = max(found[key], reward_of(event))
                break
    return found


@dataclass
class State:
    """A bandit's."""

    A: Floats
    b: Floats
    errors: list[float]


def learned(
    log: Sequence[Logged], reward: Mapping[tuple[str, int], float], d: int = 18
) -> tuple[dict[str, State], dict[tuple[int, int], tuple[int, float]]]:
    """Bandits, and (shown, rewarded) by item."""
    bandits = {name: State(np.eye(d), np.zeros(d), []) for name in BANDITS}
    items: dict[tuple[int, int], tuple[int, float]] = {}
    for one in log:
        row = 0
        for place in range(len(one.feed)):
            r = reward[one.feed_id, place]
            item = (int(one.feed.kinds[place]), int(one.feed.ids[place]))
            shown, rewarded = items.get(item, (0, 0.0))
            items[item] = (shown + 1, rewarded + r)
            if one.feed.kinds[place] != 0:
                continue
            x = one.feed.features[row].astype(np.float64)
            for number in TAUGHT[POOLS[one.feed.pools[place]]]:
                state = bandits[BANDITS[number]]
                state.A += np.outer(x, x)
                state.b += r * x
                state.errors.append(r - float(one.feed.predicted[row, number]))
            row += 1
    return bandits, items


def decayed(errors: Sequence[float]) -> tuple[float, float, float]:
    """n, sum e, sum e^2, in the order in which they were shown."""
    n = total = total2 = 0.0
    for error in errors:
        n, total, total2 = DECAY * n + 1, DECAY * total + error, DECAY * total2 + error * error
    return n, total, total2
