"""The search for a pool's best returns what a full scan returns, to the bit, for any policy and at awkward shapes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ranking import strategies
from tests.ranking.factory import NOW, make_snapshot, random_snapshot, user, video
from tests.ranking.test_slate import ask

from talentfeed.contracts import BanditState, Event, Ints, Kind, Policy, Pool, Slate, Snapshot, Viewer
from talentfeed.errors import PolicyError
from talentfeed.ranking import feed, kernel, linucb
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.presets import PoolWeights, Preset, preset

CLASSIC = preset("classic")
many = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    """Catalogues of tens of videos are searched as those of a million are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "_FIRST", 3)
        yield


def small_preset(sizes: list[int]) -> Preset:
    """Classic with other shortlists."""
    popular, affinity, fresh = (
        replace(weights, size=size, overdraw=1)
        for weights, size in zip((CLASSIC.popular, CLASSIC.affinity, CLASSIC.fresh), sizes, strict=True)
    )
    return replace(CLASSIC, popular=popular, affinity=affinity, fresh=fresh)


def shortlists(
    ranker: feed.Ranker, viewer: Viewer, excluded_ids: Ints, *, now: float, seed: int, prune: bool
) -> tuple[list[list[float]], int]:
    """Rows and scores of each pool, and how many scores were taken."""
    asked = ranker.kernel.ask(viewer, ask(excluded_ids=excluded_ids), (Kind.VIDEO,), now=now, seed=seed, prune=prune)
    before = asked.looked
    asked.candidates()
    asked.video_pools()
    found = [[part.tolist() for part in asked.listed(pool)] for pool in feed.LEARNING]
    asked.leave()
    return [[*rows, *scores] for rows, scores in found], asked.looked - before


def full_scan(ranker: feed.Ranker, viewer: Viewer, excluded_ids: Ints, *, now: float, seed: int) -> list[list[float]]:
    """The same by sorting every candidate of every pool."""
    videos = ranker.snapshot.videos
    scores = feed.video_scores(ranker, viewer, now, seed)
    kept = ~np.isin(videos.id, excluded_ids)
    kept[viewer.seen_videos] = False
    dates = np.where(videos.created_at == 0, -np.inf, videos.created_at)
    allowed = {
        Pool.POPULAR: np.asarray(videos.features)[:, 12] > 0,
        Pool.AFFINITY: np.ones(len(kept), np.bool_),
        Pool.FRESH: now - dates < 45 * 86_400.0,
    }
    found = []
    for pool in feed.LEARNING:
        rows = np.flatnonzero(allowed[pool] & kept).tolist()
        best = sorted(rows, key=lambda row, s=scores[pool]: (-s[row], row))  # type: ignore[misc]
        best = best[: ranker.preset.of(pool).shortlist]
        found.append([*best, *scores[pool][best].tolist()])
    return found


def assert_exact(ranker: feed.Ranker, *, now: float, seed: int, user_id: int, excluded_ids: Ints) -> None:
    viewer = viewers.read(ranker.snapshot, user_id)
    want = full_scan(ranker, viewer, excluded_ids, now=now, seed=seed)
    for prune in (True, False):
        got, _ = shortlists(ranker, viewer, excluded_ids, now=now, seed=seed, prune=prune)
        assert got == want


@many
@given(
    data=st.data(),
    snapshot=strategies.snapshots(),
    policy=strategies.policies(),
    now=st.sampled_from([NOW, NOW + 86_400 * 40, NOW + 86_400 * 4_000, NOW - 86_400 * 3, 0.0]),
    sizes=st.lists(st.sampled_from([1, 2, 5, 200]), min_size=3, max_size=3),
)
def test_the_best_are_those_of_a_full_scan(
    data: st.DataObject, snapshot: Snapshot, policy: Policy, now: float, sizes: list[int]
) -> None:
    ranker = feed.prepare(snapshot, policy, small_preset(sizes))
    excluded = data.draw(st.lists(st.sampled_from(snapshot.videos.id.tolist()))) if len(snapshot.videos.id) else []
    seed = data.draw(st.integers(0, 2**128 - 1))
    ids = np.array(excluded, np.int64)
    assert_exact(ranker, now=now, seed=seed, user_id=strategies.VIEWER, excluded_ids=ids)


@many
@given(
    snapshot=strategies.snapshots(),
    policy=strategies.policies(),
    weights=strategies.presets(),
    now=st.sampled_from([NOW, NOW + 86_400 * 20, NOW + 86_400 * 44, NOW - 86_400 * 3.5, NOW - 86_400 * 300]),
    seed=st.integers(0, 2**128 - 1),
)
def test_the_best_are_those_of_a_full_scan_whatever_the_weights(
    snapshot: Snapshot, policy: Policy, weights: Preset, now: float, seed: int
) -> None:
    ranker = feed.prepare(snapshot, policy, weights)
    none = np.zeros(0, np.int64)
    for user_id in (strategies.VIEWER, 1, 999):
        assert_exact(ranker, now=now, seed=seed, user_id=user_id, excluded_ids=none)


@pytest.mark.parametrize("feature_noise", [0.0, 30.0])
@pytest.mark.parametrize("sign", [-1.0, 1.0, 40.0])
def test_a_larger_catalogue_is_searched_exactly_whatever_the_weights(sign: float, feature_noise: float) -> None:
    snapshot = random_snapshot(n_videos=3_000, n_users=300, seed=8)
    pools = (
        replace(
            weights,
            size=40,
            alpha=sign * weights.alpha,
            beta=-sign * weights.beta,
            similarity=sign * 2.0,
            match=sign * 3.0,
            recency=sign * 1.5,
            new=-sign,
            noise=0.6 / sign,
        )
        for weights in (CLASSIC.popular, CLASSIC.affinity, CLASSIC.fresh)
    )
    popular, affinity, fresh = pools
    weights = replace(CLASSIC, popular=popular, affinity=affinity, fresh=fresh, feature_noise=feature_noise)
    for state in states():
        ranker = feed.prepare(snapshot, policy_of(state), weights)
        for user_id in (1, 60, 9_999):
            excluded = np.zeros(0, np.int64)
            assert_exact(
                ranker, now=NOW + 86_400.0 * (user_id % 50), seed=user_id, user_id=user_id, excluded_ids=excluded
            )


def policy_of(state: BanditState) -> Policy:
    return Policy(version="one for all", bandits=dict.fromkeys(feed.LEARNING, state))


def states() -> list[BanditState]:
    """Nothing known, much known, all weights negative, great width, features and rewards out of all measure."""
    rng = np.random.default_rng(5)
    ordinary = rng.uniform(0, 1, (400, 18))
    wild = rng.uniform(-100, 100, (200, 18))
    return [
        linucb.initial(),
        linucb.update_many(linucb.initial(), ordinary, ordinary @ rng.normal(0, 0.3, 18)),
        linucb.update_many(linucb.initial(), ordinary, -ordinary.sum(axis=1)),
        linucb.update_many(linucb.initial(), ordinary[:5], np.full(5, 100.0)),
        linucb.update_many(linucb.initial(), wild, rng.uniform(-100, 100, 200)),
    ]


@pytest.mark.parametrize("first", [5, 256])
@pytest.mark.parametrize("number", range(5))
def test_a_larger_catalogue_is_searched_exactly_under_any_policy(
    number: int, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "_FIRST", first)
    snapshot = random_snapshot(n_videos=3_000, n_users=300, seed=number)
    rng = np.random.default_rng(number)
    for sizes in ([22, 17, 19], [220, 170, 190]):
        ranker = feed.prepare(snapshot, policy_of(states()[number]), small_preset(sizes))
        for user_id in (1, 2, 150, 9_999):
            for share in (0.0, 0.3, 0.99):
                ids = snapshot.videos.id[rng.random(3_000) < share]
                assert_exact(ranker, now=NOW + 86_400.0 * user_id, seed=user_id, user_id=user_id, excluded_ids=ids)


def test_equal_scores_are_told_apart_by_row_alone() -> None:
    flat = PoolWeights(size=5)
    alike = [video(i, creator=i, age_days=1.0, rating=4.0, views=30) for i in range(1, 200)]
    snapshot = make_snapshot(alike, users=[user(7)])
    weights = replace(CLASSIC, popular=flat, affinity=flat, fresh=flat, feature_noise=0.0)
    ranker = feed.prepare(snapshot, feed.initial_policy(), weights)
    excluded = np.array([1, 2, 3], np.int64)
    found, _ = shortlists(ranker, viewers.read(snapshot, 7), excluded, now=NOW, seed=1, prune=True)
    for rows_and_scores in found:
        assert rows_and_scores[:5] == [3, 4, 5, 6, 7]
        assert len(set(rows_and_scores[5:])) == 1


@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-3])
def test_scores_that_lie_close_together_are_in_order_beside_one_that_does_not(apart: float) -> None:
    snapshot = random_snapshot(n_videos=900, n_users=10, seed=3)
    features = np.array(snapshot.videos.features)
    features[:, 0] = 0.5 + apart * np.random.default_rng(3).permutation(900)
    features[450, 0] = 1e6
    snapshot = replace(snapshot, videos=replace(snapshot.videos, features=features))
    fresh = linucb.initial()
    state = replace(fresh, b=np.eye(18)[0])
    flat = PoolWeights(size=220)
    weights = replace(CLASSIC, popular=flat, affinity=flat, fresh=flat, feature_noise=0.0)
    ranker = feed.prepare(snapshot, policy_of(state), weights)
    assert_exact(ranker, now=NOW, seed=1, user_id=1, excluded_ids=np.zeros(0, np.int64))


def test_a_long_list_of_flows_is_in_order_of_tier_and_score() -> None:
    snapshot = random_snapshot(n_videos=50, n_flows=700, n_users=300, seed=6)
    ranker = feed.prepare(snapshot, feed.initial_policy(), CLASSIC)
    rng = np.random.default_rng(6)
    creators = np.asarray(snapshot.flows.creator)
    viewer = msgspec.structs.replace(viewers.read(snapshot, 1), connections=np.unique(rng.choice(creators, 5)))
    shown = np.sort(rng.choice(700, 300, replace=False)).astype(np.int32)
    asked = ranker.kernel.ask(viewer, ask("flow", shown_flows=shown), (Kind.FLOW,), now=NOW, seed=6)
    scores = asked.flow_scores()
    asked.slate()
    rows, found = asked.listed(Pool.FLOW)
    tiers = 2 * np.isin(np.arange(700), shown) + ~np.isin(creators, viewer.connections)
    assert len(np.unique(tiers)) == 4
    assert rows.tolist() == sorted(range(700), key=lambda row: (tiers[row], -scores[row], row))
    assert found.tolist() == scores[rows].tolist()


@many
@given(data=st.data(), snapshot=strategies.snapshots(), policy=strategies.policies(), events=strategies.events())
def test_the_slate_is_the_same_with_and_without_pruning(
    data: st.DataObject, snapshot: Snapshot, policy: Policy, events: list[Event]
) -> None:
    asked = data.draw(strategies.asked(snapshot))
    ranker = feed.prepare(snapshot, policy, CLASSIC, epsilon=asked.epsilon)
    viewer = viewers.read(snapshot, strategies.VIEWER, events)
    slates = [
        feed.rank(ranker, viewer, asked.request, now=NOW, seed=asked.seed, prune=prune) for prune in (True, False)
    ]
    assert slates[0] == slates[1]


@pytest.mark.parametrize(("number", "most"), [(0, 10), (1, 2)])
def test_most_of_a_catalogue_is_never_looked_at(number: int, most: int) -> None:
    snapshot = random_snapshot(n_videos=20_000, n_users=50, seed=1)
    ranker = feed.prepare(snapshot, policy_of(states()[number]), CLASSIC)
    viewer = viewers.read(snapshot, 1)
    none = np.zeros(0, np.int64)
    pruned, looked = shortlists(ranker, viewer, none, now=NOW, seed=1, prune=True)
    whole, all_looked = shortlists(ranker, viewer, none, now=NOW, seed=1, prune=False)
    assert pruned == whole
    assert looked * most < all_looked


def test_a_shortlist_out_of_bounds_is_refused() -> None:
    snapshot = make_snapshot([video(1)])
    for size in (0, 5_000):
        with pytest.raises(PolicyError, match="places"):
            feed.prepare(snapshot, feed.initial_policy(), small_preset([size, 1, 1]))


def test_feeds_in_many_threads_are_those_of_one() -> None:
    snapshot = random_snapshot(n_videos=400, n_users=300, seed=4)
    ranker = feed.prepare(snapshot, feed.initial_policy(), CLASSIC)

    def make(seed: int) -> Slate:
        return feed.rank(ranker, viewers.read(snapshot, seed % 300), ask(), now=NOW, seed=seed)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(make, range(200))) == [make(seed) for seed in range(200)]
