"""Nothing that comes from outside makes the compiled kernel read or write where it should not."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.ranking.factory import NOW, flow, make_snapshot, random_snapshot, seen, user, video
from tests.ranking.test_slate import ask

from talentfeed.contracts import FeedRequest, Slate, Snapshot, Viewer
from talentfeed.errors import PatternError, PolicyError, RequestMisfitError, SnapshotError
from talentfeed.ranking import feed, sound
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.presets import preset
from talentfeed.ranking.record import FeedRecord, VersionGoneError, replay

CLASSIC = preset("classic")
Change = Callable[[Snapshot], dict[str, Any]]


def whole() -> Snapshot:
    """Three videos, two flows, and somebody with a history."""
    return make_snapshot(
        [
            video(1, creator=1, skills=["a", "b"], tools=["x"]),
            video(2, creator=2, skills=["c"]),
            video(3, creator=3),
        ],
        [flow(8, creator=2), flow(9, creator=4)],
        [user(7, skills=["a", "b"], history=[seen(1)], flow_history=[8], connections=[2])],
    )


def ranker_of(snapshot: Snapshot) -> feed.Ranker:
    return feed.prepare(snapshot, feed.initial_policy(), CLASSIC)


def with_cell(array: np.ndarray, at: Any, value: Any) -> np.ndarray:
    changed = array.copy()
    changed[at] = value
    return changed


@pytest.mark.parametrize(
    ("part", "change", "names"),
    [
        ("videos", lambda s: {"tokens": with_cell(s.videos.tokens, (0, 0), -1)}, "videos.tokens"),
        ("videos", lambda s: {"tokens": with_cell(s.videos.tokens, (0, 0), 10**9)}, "videos.tokens"),
        ("videos", lambda s: {"tokens": with_cell(s.videos.tokens, (0, 0), 4)}, "skills where others belong"),
        ("videos", lambda s: {"tokens": with_cell(s.videos.tokens, (1, 8), 1)}, "skills where others belong"),
        ("videos", lambda s: {"tokens": with_cell(s.videos.tokens, (0, 0), 0)}, "behind padding"),
        ("videos", lambda s: {"tokens": with_cell(s.videos.tokens, (0, 1), 1)}, "twice"),
        ("videos", lambda s: {"city": with_cell(s.videos.city, 0, -1)}, "videos.city"),
        ("videos", lambda s: {"creator": with_cell(s.videos.creator, 0, 2**31 - 1)}, "videos.creator"),
        ("videos", lambda s: {"creator": s.videos.creator.astype(np.int64)}, "videos.creator: int64"),
        ("videos", lambda s: {"created_at": with_cell(s.videos.created_at, 0, np.nan)}, "not finite"),
        ("flows", lambda s: {"creator": with_cell(s.flows.creator, 0, -1)}, "flows.creator"),
        ("users", lambda s: {"history_video": with_cell(s.users.history_video, 0, 3)}, "users.history_video"),
        ("users", lambda s: {"history_start": with_cell(s.users.history_start, 1, -5)}, "users.history_start"),
        ("users", lambda s: {"profile": with_cell(s.users.profile, 0, -2)}, "users.profile"),
        ("users", lambda s: {"connection": s.users.connection.astype(np.int64)}, "users.connection: int64"),
        ("users", lambda s: {"city": np.repeat(s.users.city, 2)[::2]}, "in one piece"),
        ("skills", lambda s: {"n": s.skills.n + 1}, "skills.similarity"),
    ],
)
def test_a_damaged_snapshot_is_not_ranked_from(part: str, change: Change, names: str) -> None:
    snapshot = whole()
    damaged = replace(snapshot, **{part: replace(getattr(snapshot, part), **change(snapshot))})
    with pytest.raises(SnapshotError, match=names):
        ranker_of(damaged)


def test_snapshots_as_they_are_built_are_whole() -> None:
    for snapshot in (whole(), make_snapshot(), random_snapshot(n_videos=500, n_users=50, seed=1)):
        assert list(sound.faults(snapshot)) == []


@pytest.mark.parametrize("value", [-1, -(2**31), 1_000, 2**31 - 1])
@pytest.mark.parametrize("name", ["skills", "tokens", "cities", "connections", "seen_videos", "seen_flows"])
def test_a_viewer_of_another_snapshot_is_refused_or_shares_nothing(name: str, value: int) -> None:
    """The tables of this one end before 1,000: tokens, cities and creators from there on are nobody's."""
    snapshot = whole()
    ranker, viewer = ranker_of(snapshot), viewers.read(snapshot, 7)
    strange = np.append(getattr(viewer, name), np.int32(value))
    other = msgspec.structs.replace(viewer, **{name: strange})
    if name == "skills":
        other = msgspec.structs.replace(other, skill_weights=np.append(viewer.skill_weights, 0.5))
    if value > 0 and name in ("tokens", "cities", "connections"):
        assert rank(ranker, other, ask()) == rank(ranker, viewer, ask())
        return
    with pytest.raises(RequestMisfitError, match=name.replace("_", " ")):
        rank(ranker, other, ask())
    with pytest.raises(RequestMisfitError, match=name.replace("_", " ")):
        feed.video_scores(ranker, other, NOW, 1)


def test_a_viewer_needs_a_weight_for_each_skill_and_a_token_too() -> None:
    snapshot = whole()
    ranker, viewer = ranker_of(snapshot), viewers.read(snapshot, 7)
    assert len(viewer.skills) == 2
    with pytest.raises(RequestMisfitError, match="2 skills with 1 weights"):
        rank(ranker, msgspec.structs.replace(viewer, skill_weights=viewer.skill_weights[:1]), ask())
    with pytest.raises(RequestMisfitError, match="skills"):
        rank(ranker, msgspec.structs.replace(viewer, tokens=viewer.tokens[1:]), ask())


@pytest.mark.parametrize("row", [-1, 2, 2**31 - 1])
def test_flows_shown_before_are_those_of_the_snapshot(row: int) -> None:
    snapshot = whole()
    ranker, viewer = ranker_of(snapshot), viewers.read(snapshot, 7)
    request = msgspec.structs.replace(ask(endpoint="flow"), shown_flows=np.array([0, row], np.int32))
    with pytest.raises(RequestMisfitError, match="shown flows"):
        rank(ranker, viewer, request)


@pytest.mark.parametrize("creators", [[(1, 2, 3)], [(2**40,)]])
def test_creators_at_the_last_places_are_two_codes_at_most(creators: Sequence[Sequence[int]]) -> None:
    snapshot = whole()
    with pytest.raises(RequestMisfitError, match="at most two"):
        rank(ranker_of(snapshot), viewers.read(snapshot, 7), msgspec.structs.replace(ask(), recent_creators=creators))


def test_creators_that_nobody_is_hold_their_places_and_hide_nothing() -> None:
    snapshot = random_snapshot(n_videos=200, n_users=20, seed=3)
    ranker, viewer = ranker_of(snapshot), viewers.read(snapshot, 1)
    nobody = [(-1, -7), (2**31 - 1,), (snapshot.n_creators, -(2**31)), (), (10**6, 10**6)]
    assert rank(ranker, viewer, msgspec.structs.replace(ask(), recent_creators=nobody)) == rank(ranker, viewer, ask())


def test_a_record_that_does_not_fit_its_snapshot_is_not_replayed() -> None:
    snapshot = whole()
    ranker = ranker_of(snapshot)
    record = FeedRecord(
        feed_id="0" * 31 + "1",
        snapshot=snapshot.manifest.version,
        policy=ranker.policy.version,
        preset=CLASSIC.name,
        epsilon=ranker.epsilon,
        user_id=7,
        events=(),
        request=msgspec.structs.replace(ask(endpoint="flow"), shown_flows=np.array([10**6], np.int32)),
        now=NOW,
        slots=(),
    )
    with pytest.raises(VersionGoneError, match="its record is damaged: shown flows"):
        replay(record, ranker)


def test_an_empty_pattern_makes_an_empty_feed() -> None:
    snapshot = whole()
    request = msgspec.structs.replace(ask(), pattern=(), size=24)
    assert rank(ranker_of(snapshot), viewers.read(snapshot, 7), request).slots == []


def test_an_unknown_endpoint_is_refused_and_nothing_is_left_behind() -> None:
    snapshot = random_snapshot(n_videos=200, n_users=20, seed=3)
    ranker, viewer = ranker_of(snapshot), viewers.read(snapshot, 1)
    want = rank(ranker, viewer, ask())
    with pytest.raises(PatternError, match="'other'"):
        rank(ranker, viewer, msgspec.structs.replace(ask(), endpoint="other"))
    with pytest.raises(RequestMisfitError):
        rank(ranker, msgspec.structs.replace(viewer, seen_videos=np.array([0, 10**6], np.int32)), ask())
    assert rank(ranker, viewer, ask()) == want


def test_refused_requests_between_others_leave_them_as_they_are_in_any_thread() -> None:
    snapshots = [random_snapshot(n_videos=300, n_users=50, seed=seed) for seed in (1, 2)]
    rankers = [ranker_of(snapshot) for snapshot in snapshots]
    misfit = np.array([0, 10**6], np.int32)

    def make(seed: int) -> Slate | None:
        ranker = rankers[seed % 2]
        viewer = viewers.read(ranker.snapshot, seed % 50)
        if seed % 3:
            return feed.rank(ranker, viewer, ask(), now=NOW, seed=seed)
        with pytest.raises(RequestMisfitError):
            feed.rank(ranker, msgspec.structs.replace(viewer, seen_videos=misfit), ask(), now=NOW, seed=seed)
        return None

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(make, range(150)))
    assert found == [make(seed) for seed in range(150)]
    fresh = [ranker_of(snapshot) for snapshot in snapshots]
    for seed in range(1, 150, 3):
        viewer = viewers.read(snapshots[seed % 2], seed % 50)
        assert found[seed] == feed.rank(fresh[seed % 2], viewer, ask(), now=NOW, seed=seed)


@pytest.mark.parametrize("row", [-1, 3])
def test_columns_are_those_of_videos_that_are_there(row: int) -> None:
    snapshot = whole()
    with pytest.raises(IndexError, match="3 videos"):
        feed.moving_columns(ranker_of(snapshot), viewers.read(snapshot, 7), [0, row], NOW, 1)


def test_noise_of_negative_width_is_refused() -> None:
    with pytest.raises(PolicyError, match="feature_noise"):
        feed.prepare(whole(), feed.initial_policy(), replace(CLASSIC, feature_noise=-0.1))


@pytest.mark.parametrize("now", [0.0, -1e18, NOW - 86_400 * 50_000, NOW + 86_400 * 50_000, 1e18])
@pytest.mark.parametrize("endpoint", ["total", "discover", "flow"])
def test_any_time_makes_a_feed_of_probabilities(endpoint: str, now: float) -> None:
    snapshot = random_snapshot(n_videos=300, n_users=20, seed=2)
    pattern = feed.pattern_for(endpoint, feed.parse_pattern("VMP AU NU FW EXPLORE"))
    request = msgspec.structs.replace(ask(), endpoint=endpoint, pattern=pattern, size=100)
    slate = feed.rank(ranker_of(snapshot), viewers.read(snapshot, 1), request, now=now, seed=1)
    assert slate.slots
    assert all(0.0 < slot.probability <= 1.0 for slot in slate.slots)


def rank(ranker: feed.Ranker, viewer: Viewer, request: FeedRequest) -> Slate:
    return feed.rank(ranker, viewer, request, now=NOW, seed=1)
