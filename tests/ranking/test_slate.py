"""The slate against its reference and against an independent checker, on any catalogue."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ranking import strategies
from tests.ranking.checker import broken_rules
from tests.ranking.factory import NOW, flow, make_snapshot, random_snapshot, seen, user, video
from tests.reference import slate as reference

from talentfeed.contracts import Event, FeedRequest, Kind, Policy, Pool, Rule, Slate, Snapshot, Viewer
from talentfeed.ranking import catalogue, feed, noise
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.noise import Stream
from talentfeed.ranking.presets import preset
from talentfeed.ranking.rules import band

PATTERN = feed.parse_pattern("VMP AU AU VMP NU FW")
many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def ask(endpoint: str = "total", size: int = 24, **fields: object) -> FeedRequest:
    """A plain request."""
    given_fields: dict[str, object] = {
        "endpoint": endpoint,
        "pattern": feed.pattern_for(endpoint, PATTERN),
        "size": size,
        "excluded_ids": np.zeros(0, np.int64),
        "recent_creators": (),
        "shown_flows": np.zeros(0, np.int32),
    } | fields
    return FeedRequest(**given_fields)  # type: ignore[arg-type]


def serve(
    snapshot: Snapshot, request: FeedRequest, *, user_id: int = 7, seed: int = 1, epsilon: float = 0.0
) -> tuple[Slate, Viewer]:
    """A feed under the initial policy."""
    ranker = feed.prepare(snapshot, feed.initial_policy(), preset("classic"), epsilon=epsilon)
    viewer = viewers.read(snapshot, user_id)
    return feed.rank(ranker, viewer, request, now=NOW, seed=seed), viewer


@settings(many, max_examples=200)
@given(data=st.data(), snapshot=strategies.snapshots(), policy=strategies.policies(), events=strategies.events())
def test_every_choice_is_the_reference_choice(
    data: st.DataObject, snapshot: Snapshot, policy: Policy, events: list[Event]
) -> None:
    asked = data.draw(strategies.asked(snapshot))
    ranker = feed.prepare(snapshot, policy, preset("classic"), epsilon=asked.epsilon)
    assert_is_reference(ranker, viewers.read(snapshot, strategies.VIEWER, events), asked.request, asked.seed)


@pytest.mark.parametrize("dense", [0, 12, 64])
def test_every_choice_in_a_larger_catalogue_is_the_reference_one(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks of several words; tokens as lists, as masks, and both; and pages so long that rules 4 and 5 give way."""
    monkeypatch.setattr(catalogue, "_DENSE", dense)
    snapshot = random_snapshot(n_videos=330, n_flows=70, n_users=60, n_skills=60, seed=dense)
    ranker = feed.prepare(snapshot, feed.initial_policy(), preset("classic"), epsilon=0.5)
    for user_id, size in ((1, 24), (2, 100), (9_999, 60)):
        viewer = viewers.read(snapshot, user_id)
        excluded = snapshot.videos.id[user_id % 3 :: 3][:90]
        assert_is_reference(ranker, viewer, ask(size=size, excluded_ids=excluded), seed=user_id)


def assert_is_reference(
    ranker: feed.Ranker,
    viewer: Viewer,
    request: FeedRequest,
    seed: int,
    lists: dict[Pool, list[int]] | None = None,
) -> None:
    snapshot = ranker.snapshot
    among = {pool: n for pool in feed.LEARNING if (n := ranker.preset.of(pool).among) is not None}
    got = feed.rank(ranker, viewer, request, now=NOW, seed=seed)
    scores = {pool: s.tolist() for pool, s in feed.video_scores(ranker, viewer, NOW, seed).items()}
    scores[Pool.FLOW] = feed.flow_scores(ranker, viewer, NOW, seed).tolist()
    slots, gave_way = reference.slate(
        snapshot,
        viewer,
        request,
        now=NOW,
        scores=scores,
        chances=[
            reference.Chance(
                ranker.epsilon, noise.uniform(seed, Stream.EXPLORE, i), noise.uniform(seed, Stream.DRAW, i)
            )
            for i in range(request.size)
        ],
        lists=lists,
        among=among,
    )
    plain = [(s.kind, s.index, s.pool, s.planned, s.explored, s.gave_way) for s in got.slots]
    assert plain == [(s.kind, s.index, s.pool, s.planned, s.explored, s.gave_way) for s in slots]
    assert [s.probability for s in got.slots] == pytest.approx([s.probability for s in slots], rel=1e-9)
    assert list(got.gave_way) == gave_way


@many
@given(data=st.data(), snapshot=strategies.snapshots(), events=strategies.events())
def test_any_catalogue_gives_a_feed_that_names_every_rule_it_broke(
    data: st.DataObject, snapshot: Snapshot, events: list[Event]
) -> None:
    asked = data.draw(strategies.asked(snapshot))
    ranker = feed.prepare(snapshot, feed.initial_policy(), preset("classic"), epsilon=asked.epsilon)
    viewer = viewers.read(snapshot, data.draw(st.sampled_from([strategies.VIEWER, 1, 999])), events)
    got = feed.rank(ranker, viewer, asked.request, now=NOW, seed=asked.seed)
    assert set(got.gave_way) == broken_rules(snapshot, viewer, asked.request, got, NOW)
    assert all(0.0 < slot.probability <= 1.0 + 1e-12 for slot in got.slots)

    excluded = set(asked.request.excluded_ids.tolist())
    videos = sum(i not in excluded for i in snapshot.videos.id.tolist()) * (asked.request.endpoint != "flow")
    flows = sum(i not in excluded for i in snapshot.flows.id.tolist()) * (asked.request.endpoint != "discover")
    assert len(got.slots) == min(asked.request.size, videos + flows), "short although something is left"


@pytest.mark.parametrize("endpoint", ["total", "discover", "flow"])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(snapshot=strategies.snapshots(), size=st.sampled_from([1, 5, 24]))
def test_an_endless_scroll_reaches_every_item_once_and_ends(endpoint: str, snapshot: Snapshot, size: int) -> None:
    ranker = feed.prepare(snapshot, feed.initial_policy(), preset("classic"))
    viewer = viewers.read(snapshot, strategies.VIEWER)
    excluded: list[int] = []
    listings = {Kind.VIDEO: snapshot.videos.id.tolist(), Kind.FLOW: snapshot.flows.id.tolist()}
    wanted = {"total": set(Kind), "discover": {Kind.VIDEO}, "flow": {Kind.FLOW}}[endpoint]
    everything = {i for kind in wanted for i in listings[kind]}
    for page in range(len(everything) + 1):
        request = ask(
            endpoint,
            size,
            excluded_ids=np.array(excluded, np.int64),
            recent_creators=viewers.last_creators(snapshot, excluded),
        )
        slots = feed.rank(ranker, viewer, request, now=NOW, seed=page).slots
        ids = list(dict.fromkeys(listings[slot.kind][slot.index] for slot in slots))
        assert not set(ids) & set(excluded)
        excluded += ids
        if not slots:
            break
    assert not slots
    assert set(excluded) == everything


def test_todays_catalogue_lets_every_rule_stand_over_three_pages() -> None:
    snapshot = random_snapshot(n_users=3_000, seed=3)
    ranker = feed.prepare(snapshot, feed.initial_policy(), preset("classic"))
    for user_id in range(1, 61):
        viewer = viewers.read(snapshot, user_id)
        shown: list[tuple[Kind, int]] = []
        for page in range(3):
            ids = [int((snapshot.flows if kind else snapshot.videos).id[row]) for kind, row in shown]
            items = [(kind, item) for (kind, _), item in zip(shown, ids, strict=True)]
            request = ask(excluded_ids=np.array(ids, np.int64), recent_creators=viewers.last_creators(snapshot, items))
            got = feed.rank(ranker, viewer, request, now=NOW, seed=user_id * 10 + page)
            assert got.gave_way == []
            assert broken_rules(snapshot, viewer, request, got, NOW) == set()
            assert [slot.pool for slot in got.slots] == [slot.planned for slot in got.slots]
            shown += [(slot.kind, slot.index) for slot in got.slots]


def test_creator_rule_gives_way_last() -> None:
    videos = [video(i, creator=1, skills=["a"], age_days=1.0) for i in range(1, 4)]
    got, _ = serve(make_snapshot(videos, users=[user(7, history=[seen(1), seen(2), seen(3)])]), ask())
    assert list(got.gave_way) == list(Rule)
    assert len(got.slots) == 3
    assert Rule.CREATOR_WINDOW not in got.slots[0].gave_way


def test_a_seen_video_stands_in_before_the_creator_window_shrinks() -> None:
    videos = [video(1, creator=1), video(2, creator=1), video(3, creator=2)]
    got, _ = serve(make_snapshot(videos, users=[user(7, history=[seen(3)])]), ask(size=2))
    assert [slot.gave_way for slot in got.slots] == [(), (Rule.ALREADY_SEEN,)]
    assert got.slots[1].index == 2


def test_the_oldest_interaction_comes_back_first() -> None:
    videos = [video(i, creator=i) for i in (1, 2, 3)]
    history = [seen(1, days_ago=5), seen(2, days_ago=50), seen(3, days_ago=1), seen(2, days_ago=20)]
    got, _ = serve(make_snapshot(videos, users=[user(70, history=history)]), ask(), user_id=70)
    assert [int(slot.index) for slot in got.slots] == [1, 0, 2]
    assert all(slot.probability == 1.0 for slot in got.slots)


def test_the_window_shrinks_no_further_than_it_must() -> None:
    videos = [video(i, creator=1 + i % 3) for i in range(1, 31)]
    got, _ = serve(make_snapshot(videos), ask("discover", 12))
    creators = [1 + (slot.index + 1) % 3 for slot in got.slots]
    assert all(len(set(creators[i : i + 3])) == 3 for i in range(10))


def test_the_window_reaches_back_over_the_page() -> None:
    videos = [video(1, creator=1), video(2, creator=2)]
    snapshot = make_snapshot(videos)
    request = ask(size=1, recent_creators=[(0,), *[()] * 10])
    got, _ = serve(snapshot, request)
    assert [int(slot.index) for slot in got.slots] == [1]
    got, _ = serve(snapshot, ask(size=1, recent_creators=[(0,), *[()] * 9, (1,)]))
    assert int(got.slots[0].index) == 0, "the creator farther back returns first"
    assert got.slots[0].gave_way == (Rule.CREATOR_WINDOW,)


def test_a_flow_and_a_video_of_one_creator_do_not_stand_together() -> None:
    snapshot = make_snapshot([video(i, creator=i) for i in range(1, 12)], [flow(90, creator=3), flow(91, creator=50)])
    got, _ = serve(snapshot, ask(size=6))
    creators = [
        int((snapshot.flows if slot.kind is Kind.FLOW else snapshot.videos).creator[slot.index]) for slot in got.slots
    ]
    assert len(set(creators)) == 6


def test_without_flows_their_slots_fall_through_to_affinity() -> None:
    snapshot = make_snapshot([video(i, creator=i, age_days=10 if i % 3 else 100) for i in range(1, 90)])
    got, _ = serve(snapshot, ask())
    assert [slot.pool for slot in got.slots if slot.planned is Pool.FLOW] == [Pool.AFFINITY] * 4
    assert got.gave_way == []
    assert sum(snapshot.videos.created_at[slot.index] > NOW - 45 * 86_400 for slot in got.slots) in range(6, 9)


def test_only_flows_fill_a_total_feed() -> None:
    got, _ = serve(make_snapshot(flows=[flow(i, creator=i) for i in range(1, 40)]), ask())
    assert {slot.pool for slot in got.slots} == {Pool.FLOW}
    assert len(got.slots) == 24
    assert got.gave_way == []


def test_an_old_catalogue_breaks_the_new_content_rule_only() -> None:
    got, _ = serve(make_snapshot([video(i, creator=i, age_days=None) for i in range(1, 60)]), ask("discover"))
    assert got.gave_way == [Rule.NEW_CONTENT]
    assert len(got.slots) == 24


def test_videos_that_share_one_skill_make_diversity_give_way() -> None:
    got, _ = serve(make_snapshot([video(i, creator=i, skills=["a"]) for i in range(1, 9)]), ask("discover", 8))
    assert Rule.SKILL_DIVERSITY in got.gave_way
    assert [Rule.SKILL_DIVERSITY in slot.gave_way for slot in got.slots] == [False] + [True] * 7


@pytest.mark.parametrize("n", range(101))
def test_the_band_of_new_content_is_the_nearest_whole_number(n: int) -> None:
    low, high = band(n)
    assert 2 * abs(4 * low - n) <= 4
    assert 2 * abs(20 * high - 7 * n) <= 20
    assert low <= high


def test_connections_flows_come_first_and_shown_ones_last() -> None:
    flows = [flow(i, creator=100 + i, age_days=float(i)) for i in range(1, 31)]
    snapshot = make_snapshot(flows=flows, users=[user(7, connections=[125, 126, 127])])
    got, _ = serve(snapshot, ask("flow", 30, shown_flows=np.array([0, 1, 26], np.int32)))
    rows = [int(slot.index) for slot in got.slots]
    assert set(rows[:2]) == {24, 25}
    assert set(rows[-2:]) == {0, 1}
    assert rows[-3] == 26
    assert len(rows) == 30
