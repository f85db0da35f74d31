"""The 18 columns and the scores of every pool against the reference: float64 within 1e-9."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ranking import strategies
from tests.ranking.factory import NOW, make_snapshot, random_snapshot, user, video
from tests.reference import ranking as reference

from talentfeed.contracts import Event, Floats, Policy, Pool, Snapshot
from talentfeed.ranking import features, feed, linucb, noise
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.noise import Stream
from talentfeed.ranking.presets import preset

many = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


def columns(ranker: feed.Ranker, user_id: int, events: list[Event], seed: int) -> Floats:
    """All 18 of every video, by the fast path, (n, 18)."""
    snapshot = ranker.snapshot
    x = np.array(snapshot.videos.features)
    viewer = viewers.read(snapshot, user_id, events)
    x[:, features.MOVING] = feed.moving_columns(ranker, viewer, range(len(x)), NOW, seed)
    return x


def assert_is_reference(snapshot: Snapshot, policy: Policy, user_id: int, events: list[Event], seed: int) -> None:
    ranker = feed.prepare(snapshot, policy, preset("classic"))
    x = columns(ranker, user_id, events, seed)
    person = reference.read(snapshot, user_id, events)
    scores = feed.video_scores(ranker, viewers.read(snapshot, user_id, events), NOW, seed)
    parts = {
        pool: linucb.score(policy.bandits[pool], x, alpha=alpha, beta=beta).ucb
        for pool, (alpha, beta) in reference.CLASSIC.items()
    }
    for row, video_id in enumerate(snapshot.videos.id.tolist()):
        feature_noise = 0.3 * noise.uniform(seed, Stream.FEATURE, video_id)
        fresh_noise = 0.6 * noise.uniform(seed, Stream.FRESH, video_id)
        want = reference.features(snapshot, person, row, NOW, feature_noise)
        assert x[row].tolist() == pytest.approx(want, rel=1e-9, abs=1e-9)
        age = reference.days(float(snapshot.videos.created_at[row]), NOW)
        for pool, (alpha, beta) in reference.CLASSIC.items():
            state = policy.bandits[pool]
            assert parts[pool][row] == pytest.approx(reference.ucb(state, want, alpha, beta), rel=1e-9, abs=1e-9)
            score = reference.pool_score(pool, state, want, age, fresh_noise)
            assert scores[pool][row] == pytest.approx(score, rel=1e-9, abs=1e-9)


@many
@given(
    snapshot=strategies.snapshots(),
    policy=strategies.policies(),
    user_id=st.sampled_from([strategies.VIEWER, 1, 999]),
    events=strategies.events(),
    seed=st.integers(0, 2**128 - 1),
)
def test_features_and_scores_are_the_reference_ones(
    snapshot: Snapshot, policy: Policy, user_id: int, events: list[Event], seed: int
) -> None:
    assert_is_reference(snapshot, policy, user_id, events, seed)


def test_features_and_scores_of_a_larger_catalogue_are_the_reference_ones() -> None:
    snapshot = random_snapshot(n_videos=300, n_users=500, seed=9)
    for user_id in (1, 2, 3, 499):
        assert_is_reference(snapshot, feed.initial_policy(), user_id, [], 2**100 + user_id)


def test_a_video_is_new_below_45_days_and_boosted_up_to_30() -> None:
    created = NOW - np.array([0.0, 30.0, 30.01, 44.99, 45.0, -5.0]) * 86_400
    ages = features.ages(np.append(created, 0.0), NOW)
    assert ages.new.tolist() == [True, True, True, True, False, True, False]
    assert (ages.boosted / np.where(ages.recency > 0, ages.recency, 1)).round(9).tolist() == [
        1.5, 1.5, 1.0, 1.0, 1.0, 1.5, 0.0,
    ]  # fmt: skip
    assert ages.recency[5] == 1.0
    assert ages.recency[6] == 0.0


def test_similarity_has_its_two_constants() -> None:
    snapshot = make_snapshot(
        [video(1, skills=["dance"]), video(2)],
        users=[user(7, skills=["dance"]), user(8), user(9, skills=["juggling"])],
    )
    ranker = feed.prepare(snapshot, feed.initial_policy(), preset("classic"))
    assert columns(ranker, 7, [], 1)[:, 5].tolist() == [1.0, 0.3]
    assert columns(ranker, 8, [], 1)[:, 5].tolist() == [0.5, 0.5]
    assert columns(ranker, 9, [], 1)[:, 5].tolist() == [0.0, 0.3]


def test_scores_are_finite_whatever_the_state_that_derives() -> None:
    snapshot = random_snapshot(n_videos=200, n_users=50, seed=2)
    rng = np.random.default_rng(0)
    state = linucb.update_many(linucb.initial(), rng.uniform(-100, 100, (500, 18)), rng.uniform(-100, 100, 500))
    policy = Policy(version="wild", bandits=dict.fromkeys((Pool.POPULAR, Pool.AFFINITY, Pool.FRESH), state))
    ranker = feed.prepare(snapshot, policy, preset("classic"))
    for scores in feed.video_scores(ranker, viewers.read(snapshot, 1), NOW, 1).values():
        assert np.isfinite(scores).all()
