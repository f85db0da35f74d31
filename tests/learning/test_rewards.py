"""What an impression is worth, against a slow reference, whatever comes late, twice or in another order."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.learning.logged import WINDOW, made_log
from tests.reference import learning as reference
from tests.reference.learning import Logged

from talentfeed.contracts import CLIENT_EVENTS, Floats, Kind
from talentfeed.impressions import Outcome
from talentfeed.learning import rewards
from talentfeed.learning.rewards import Feed

Log = list[Logged]
Events = list[tuple[int, Outcome]]


def event(what: str, *, value: float | None = None, ratio: float | None = None, at: float = 1.0) -> Outcome:
    return Outcome(at=at, kind=Kind.VIDEO, item_id=1, event_type=what, value=value, watch_ratio=ratio, feed_id=None)


def attributed(log: Log, events: Events) -> dict[tuple[str, int], float]:
    """Each user by themselves, as a learner does it."""
    found: dict[tuple[str, int], float] = {}
    for user_id in {one.feed.user_id for one in log}:
        own = [one for one in log if one.feed.user_id == user_id]
        feeds = [
            Feed(feed_id=o.feed_id, recorded=o.recorded, due=o.due, kinds=o.feed.kinds.tolist(), ids=o.feed.ids)
            for o in own
        ]
        for one, values in zip(own, rewards.attribute(feeds, [e for u, e in events if u == user_id]), strict=True):
            found |= {(one.feed_id, place): float(value) for place, value in enumerate(values)}
    return found


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_rewards_are_those_of_the_slow_reference(seed: int) -> None:
    log, events, _ = made_log(seed, feeds=25, users=3, past=2_000.0)
    assert attributed(log, events) == pytest.approx(reference.rewards(log, events))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_neither_the_order_of_events_nor_repeats_change_anything(seed: int) -> None:
    log, events, _ = made_log(seed, feeds=15, users=2, past=2_000.0)
    again = events + events
    random.Random(seed).shuffle(again)
    assert attributed(log, again) == attributed(log, events)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_what_comes_after_the_window_changes_nothing(seed: int) -> None:
    log, events, _ = made_log(seed, feeds=10, users=2, past=100.0)
    last = max(one.due for one in log)
    late = [
        (one.feed.user_id, Outcome(at=last + 0.5, kind=Kind(int(kind)), item_id=int(item), event_type="match",
                                   value=None, watch_ratio=None, feed_id=named))
        for one in log for kind, item in zip(one.feed.kinds, one.feed.ids, strict=True) for named in (None, one.feed_id)
    ]  # fmt: skip
    assert attributed(log, events + late) == attributed(log, events)


@given(what=st.sampled_from(CLIENT_EVENTS), value=st.floats(1, 5), ratio=st.floats(0, 1_000) | st.none())
def test_every_event_that_clients_report_has_a_reward_from_0_to_1(what: str, value: float, ratio: float | None) -> None:
    assert what in rewards.REWARDS
    assert 0.0 <= rewards.reward(event(what, value=value, ratio=ratio)) <= 1.0


def test_what_costs_the_viewer_more_is_worth_more() -> None:
    ladder = [
        event("skip"),
        event("video_view"),
        event("video_view", ratio=0.6),
        event("video_view", ratio=1.0),
        event("like"),
        event("save"),
        event("match"),
    ]
    found = [rewards.reward(one) for one in ladder]
    assert found == sorted(set(found))


def test_an_event_without_a_feed_is_of_the_newest_that_had_its_item() -> None:
    ids = np.array([1, 2])
    feeds = [Feed(feed_id=str(n), recorded=100.0 * n, due=100.0 * n + WINDOW, kinds=[0, 0], ids=ids) for n in (1, 2)]
    first, second = rewards.attribute(feeds, [event("like", at=150.0), event("match", at=250.0)])
    assert (first.tolist(), second.tolist()) == ([0.8, 0.0], [1.0, 0.0])


def test_a_feed_has_the_rewards_that_it_has_alone_once_those_before_it_are_gone() -> None:
    log, events, _ = made_log(3, feeds=30, users=1)
    whole = attributed(log, events)
    for one in range(len(log)):
        rest = attributed(log[one:], events)
        mine: Floats = np.array([rest[log[one].feed_id, place] for place in range(len(log[one].feed))])
        assert mine.tolist() == [whole[log[one].feed_id, place] for place in range(len(log[one].feed))]


def test_history_is_worth_what_its_kind_tells() -> None:
    assert rewards.of_history("match", liked=True) == 1.0
    assert rewards.of_history("view", liked=True) > rewards.of_history("view", liked=False)
    assert rewards.of_history("rating", liked=True) > rewards.of_history("rating", liked=False)
