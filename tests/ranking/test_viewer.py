"""The viewer of SPEC 5 against its reference, and case by case."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ranking import strategies
from tests.ranking.factory import NOW, Seen, flow, make_snapshot, random_snapshot, seen, user, video
from tests.reference import ranking as reference

from talentfeed.contracts import Event, Kind, Snapshot
from talentfeed.ranking import viewer as viewers

many = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def event(event_type: str, item_id: int, kind: Kind = Kind.VIDEO, at: float = NOW, **fields: float) -> Event:
    """What a client reported."""
    return Event(event_type=event_type, kind=kind, item_id=item_id, at=at, **fields)


def assert_is_reference(snapshot: Snapshot, user_id: int, events: list[Event]) -> None:
    got = viewers.read(snapshot, user_id, events)
    want = reference.read(snapshot, user_id, events)
    total = sum(want.skill_counts.values())
    known = {token: count / total for token, count in want.skill_counts.items() if token > 0}
    assert got.has_skills == (total > 0)
    assert dict(zip(got.skills.tolist(), got.skill_weights.tolist(), strict=True)) == pytest.approx(known)
    assert got.tokens.tolist() == sorted(want.tokens)
    assert got.cities.tolist() == sorted(want.cities)
    assert set(got.connections.tolist()) == want.connections
    assert got.influence == pytest.approx(want.influence)
    assert got.seen_videos.tolist() == want.seen_videos
    assert got.seen_flows.tolist() == want.seen_flows


@many
@given(
    snapshot=strategies.snapshots(),
    user_id=st.sampled_from([strategies.VIEWER, strategies.VIEWER, 1, 999, 0, 2**63 - 1, 2**70]),
    events=strategies.events(),
)
def test_every_viewer_is_the_reference_viewer(snapshot: Snapshot, user_id: int, events: list[Event]) -> None:
    assert_is_reference(snapshot, user_id, events)


def test_viewers_at_scale_are_the_reference_viewers() -> None:
    snapshot = random_snapshot(n_videos=300, n_users=200, seed=5)
    for user_id in range(1, 202):
        assert_is_reference(snapshot, user_id, [])


def test_an_unknown_user_is_a_blank_without_an_error() -> None:
    got = viewers.read(make_snapshot([video(1)]), 12345)
    assert not got.known
    assert not got.has_skills
    assert len(got.seen_videos) == 0


def test_an_unknown_user_is_known_by_what_was_reported() -> None:
    snapshot = make_snapshot([video(1, skills=["dance"]), video(2)])
    got = viewers.read(snapshot, 12345, [event("like", 1), event("skip", 2, at=NOW + 1)])
    assert not got.known
    assert got.skills.tolist() == [1]
    assert got.seen_videos.tolist() == [1, 0]


def test_a_user_without_interactions_is_read_from_the_profile() -> None:
    person = user(7, skills=["dance", "juggling"], tools=["drum"], city="Cali", connections=[1])
    snapshot = make_snapshot([video(1, creator=1, skills=["dance"], tools=["drum"], city="Lima")], users=[person])
    got = viewers.read(snapshot, 7)
    assert got.skills.tolist() == [1]
    assert got.skill_weights.tolist() == [0.5]  # juggling, which no video has, is the other half
    assert [snapshot.manifest.tokens[token] for token in got.tokens] == ["dance", "drum"]
    assert [snapshot.manifest.cities[code] for code in got.cities] == ["Cali"]
    assert got.connections.tolist() == [0]
    assert got.influence == pytest.approx(math.log(2) / 10)


def test_a_user_who_only_skipped_keeps_the_profile() -> None:
    snapshot = make_snapshot([video(1, skills=["dance"])], users=[user(7, skills=["dance"])])
    got = viewers.read(snapshot, 7, [event("skip", 1)])
    assert got.skills.tolist() == [1]
    assert got.seen_videos.tolist() == [0]


def test_taste_is_read_from_the_newest_80_but_all_is_seen() -> None:
    videos = [video(i, skills=["old"] if i == 100 else ["young"]) for i in range(1, 101)]
    history = [seen(i, days_ago=float(i)) for i in range(1, 101)]
    got = viewers.read(make_snapshot(videos, users=[user(7, history=history)]), 7)
    assert len(got.skills) == 1
    assert len(got.seen_videos) == 100
    assert got.seen_videos[0] == 0


@pytest.mark.parametrize(
    ("reported", "likes"),
    [
        (event("rating", 1, value=3.0), True),
        (event("rating", 1, value=2.0), False),
        (event("rating", 1), False),
        (event("video_view", 1, watch_ratio=0.5), True),
        (event("video_view", 1, watch_ratio=0.49), False),
        (event("video_view", 1), False),
        (event("like", 1), True),
        (event("save", 1), True),
        (event("match", 1), True),
        (event("share", 1), False),
        (event("skip", 1), False),
    ],
)
def test_what_counts_as_liked(reported: Event, likes: bool) -> None:
    got = viewers.read(make_snapshot([video(1, skills=["dance"])]), 7, [reported])
    assert got.has_skills == likes
    assert got.seen_videos.tolist() == [0]


def test_an_event_that_the_snapshot_knows_changes_nothing() -> None:
    videos = [video(i, skills=[f"s{i}"]) for i in range(1, 100)]
    history = [seen(i, days_ago=float(i)) for i in range(1, 81)]
    snapshot = make_snapshot(videos, users=[user(7, history=history)])
    before = viewers.read(snapshot, 7)
    after = viewers.read(snapshot, 7, [event("like", i, at=NOW - i * 86_400 + 0.7) for i in range(1, 41)])
    assert np.array_equal(before.skills, after.skills)
    assert np.array_equal(before.seen_videos, after.seen_videos)


def likes_after(history: list[Seen], *events: Event) -> bool:
    """Whether user 7 likes video 1."""
    snapshot = make_snapshot([video(1, skills=["dance"])], users=[user(7, history=history)])
    return viewers.read(snapshot, 7, events).has_skills


def test_a_short_rewatch_takes_no_like_back() -> None:
    long, short = (event("video_view", 1, at=NOW - age, watch_ratio=ratio) for age, ratio in ((60, 0.9), (5, 0.1)))
    assert likes_after([], long, short)
    assert likes_after([], short, long)
    assert likes_after([seen(1, what="view")], short)


def test_a_new_rating_takes_the_place_of_the_one_before() -> None:
    low, high = event("rating", 1, at=NOW - 5, value=1.0), event("rating", 1, at=NOW - 5, value=5.0)
    rated = seen(1, what="rating", days_ago=20.0)
    assert not likes_after([rated], low)
    assert not likes_after([rated, seen(1, what="rating", days_ago=30.0)], low)
    assert likes_after([seen(1, what="rating", liked=False, days_ago=20.0)], high)
    assert likes_after([rated, seen(1, what="save", days_ago=20.0)], low)
    assert likes_after([seen(1, what="rating", days_ago=0.0)], event("rating", 1, at=NOW - 9000, value=1.0))


def test_a_fact_that_is_told_again_is_one_interaction_with_the_newer_time() -> None:
    videos = [video(i, skills=[f"s{i}"]) for i in range(1, 82)]
    snapshot = make_snapshot(videos, users=[user(7, history=[seen(i, days_ago=float(i)) for i in range(1, 82)])])
    before, after = viewers.read(snapshot, 7), viewers.read(snapshot, 7, [event("like", 5, at=NOW)])
    assert np.array_equal(before.skills, after.skills)
    assert after.seen_videos[0] == 4


def test_a_reported_flow_is_seen_from_the_next_request_on() -> None:
    snapshot = make_snapshot(flows=[flow(5), flow(6)], users=[user(7, flow_history=[5])])
    got = viewers.read(snapshot, 7, [event("like", 6, Kind.FLOW), event("like", 77, Kind.FLOW)])
    assert got.seen_flows.tolist() == [1, 0]


def test_last_creators_keep_the_last_eleven_places() -> None:
    snapshot = make_snapshot([video(i, creator=i) for i in range(1, 20)], [flow(3, creator=8)])
    places = viewers.last_creators(snapshot, [*range(1, 20), 999, 3, (Kind.FLOW, 3), (Kind.VIDEO, 999)])
    assert len(places) == 11
    assert places[-1] == ()
    assert places[-2] == (7,)
    assert places[-3] == (2, 7)
    assert places[-4] == ()
    assert places[0] == (12,)
