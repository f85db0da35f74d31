"""The bandit's two verbs, and what they refuse."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from talentfeed.contracts import BanditState, Floats
from talentfeed.errors import PolicyError
from talentfeed.ranking import linucb

vectors = arrays.arrays(np.float64, (st.integers(0, 30).map(lambda n: (n, 4))), elements=st.floats(-100, 100))


def same(a: BanditState, b: BanditState) -> bool:
    sums = ("error_n", "error_sum", "error_sum2", "rewards")
    return bool(
        np.array_equal(a.A, b.A) and np.array_equal(a.b, b.b) and all(getattr(a, s) == getattr(b, s) for s in sums)
    )


@settings(deadline=None)
@given(x=vectors, seed=st.integers(0, 1000))
def test_a_is_the_sum_and_stays_symmetric_and_positive_definite(x: Floats, seed: int) -> None:
    rewards = np.random.default_rng(seed).uniform(-1, 1, len(x))
    state = linucb.update_many(linucb.initial(4), x, rewards)
    assert np.allclose(state.A, np.eye(4) + x.T @ x, rtol=1e-12)
    assert np.allclose(state.b, rewards @ x, rtol=1e-9, atol=1e-9)
    assert np.array_equal(state.A, state.A.T)
    assert np.linalg.eigvalsh(state.A).min() > 0.99
    assert state.rewards == len(x)


@settings(deadline=None, max_examples=30)
@given(x=vectors)
def test_many_updates_are_one_after_the_other(x: Floats) -> None:
    rewards = np.linspace(-1, 1, len(x))
    state = linucb.initial(4)
    for row, reward in zip(x, rewards.tolist(), strict=True):
        state = linucb.update(state, row, reward)
    assert same(state, linucb.update_many(linucb.initial(4), x, rewards))


def test_ten_thousand_updates_do_not_drift() -> None:
    rng = np.random.default_rng(1)
    x, theta = rng.normal(0, 1, (10_000, 18)), rng.normal(0, 1, 18)
    state = linucb.update_many(linucb.initial(), x, np.clip(x @ theta, -100, 100))
    known = linucb.derive(state)
    assert np.abs(known.inverse - np.linalg.inv(np.eye(18) + x.T @ x)).max() < 1e-8
    assert np.abs(known.theta - theta).max() < 1e-2


def test_it_learns_which_of_two_arms_pays() -> None:
    rng = np.random.default_rng(2)
    state = linucb.initial(2)
    for _ in range(200):
        arm = np.eye(2)[int(rng.integers(2))]
        state = linucb.update(state, arm, float(arm[1]))
    scores = linucb.score(state, np.eye(2), alpha=0.1, beta=0.1)
    assert scores.mean[1] > 0.9
    assert scores.mean[0] < 0.1
    assert scores.ucb == pytest.approx(scores.mean + scores.uncertainty + scores.adaptive)


def test_uncertainty_shrinks_where_rewards_came_from() -> None:
    state = linucb.update_many(linucb.initial(2), np.array([[1.0, 0.0]] * 30), [1.0] * 30)
    scores = linucb.score(state, np.eye(2), alpha=1.0, beta=1.0)
    assert scores.uncertainty[0] == pytest.approx(1 / np.sqrt(31))
    assert scores.uncertainty[1] == 1.0


def test_adaptive_variance_is_the_prior_until_ten_rewards_then_the_decayed_variance() -> None:
    rng = np.random.default_rng(3)
    state, errors = linucb.initial(3), []
    for step in range(40):
        x, reward = rng.normal(0, 1, 3), float(rng.normal())
        errors.append(reward - float(linucb.derive(state).theta @ x))
        state = linucb.update(state, x, reward)
        weights = 0.98 ** np.arange(len(errors))[::-1]
        mean = float(weights @ errors / weights.sum())
        variance = float(weights @ (np.array(errors) - mean) ** 2 / weights.sum())
        want = 0.7 if step < 9 else variance
        assert linucb.adaptive_variance(state) == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize(
    ("x", "reward"),
    [
        ([np.nan, 0.0], 1.0),
        ([np.inf, 0.0], 1.0),
        ([101.0, 0.0], 1.0),
        ([1.0, 0.0], np.nan),
        ([1.0, 0.0], -np.inf),
        ([1.0, 0.0], 1e9),
        ([1.0], 1.0),
        ([[1.0, 0.0], [1.0, 0.0]], 1.0),
    ],
)
def test_a_wrong_reward_is_refused_and_changes_nothing(x: list[float], reward: float) -> None:
    state = linucb.update(linucb.initial(2), np.array([1.0, 2.0]), 0.5)
    before = replace(state, A=state.A.copy(), b=state.b.copy())
    with pytest.raises(PolicyError):
        linucb.update(state, np.array(x), reward)
    assert same(state, before)


def test_one_wrong_row_refuses_them_all() -> None:
    state = linucb.initial(2)
    with pytest.raises(PolicyError):
        linucb.update_many(state, np.array([[1.0, 0.0], [np.nan, 0.0]]), [1.0, 1.0])
    assert same(state, linucb.initial(2))


@pytest.mark.parametrize(
    "fields",
    [
        {"A": np.eye(3)},
        {"A": np.full((2, 2), np.nan)},
        {"A": np.array([[1.0, 2.0], [2.0, 1.0]])},
        {"A": np.array([[1.0, 0.5], [0.0, 1.0]])},
        {"A": np.eye(2) * 1e-300},
        {"A": np.zeros((2, 2))},
        {"b": np.array([np.inf, 0.0])},
        {"b": np.array([1e300, 0.0])},
        {"error_sum2": np.nan},
        {"error_n": -1.0},
        {"error_n": 1.0, "error_sum2": 1e300, "rewards": 11},
    ],
)
def test_a_damaged_state_is_refused_with_a_way_out(fields: dict[str, object]) -> None:
    state = replace(linucb.initial(2), **fields)  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match=r"initial policy|want"):
        linucb.score(state, np.eye(2), alpha=1.0, beta=1.0)


def test_features_of_another_width_or_not_finite_are_refused() -> None:
    with pytest.raises(PolicyError, match=r"shape"):
        linucb.score(linucb.initial(2), np.eye(3), alpha=1.0, beta=1.0)
    with pytest.raises(PolicyError, match=r"finite"):
        linucb.score(linucb.initial(2), np.full((1, 2), np.nan), alpha=1.0, beta=1.0)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 60))
def test_splitting_the_columns_changes_no_score(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    moving = [1, 3, 4]
    state = linucb.update_many(linucb.initial(6), rng.normal(0, 2, (n, 6)), rng.uniform(-1, 1, n))
    x = rng.normal(0, 2, (9, 6))
    fixed = x.copy()
    fixed[:, moving] = 0.0
    prepared = linucb.prepare(state, fixed, moving, alpha=1.5, beta=0.8)
    whole = linucb.score(state, x, alpha=1.5, beta=0.8).ucb
    z = x[:, moving].T
    width = prepared.base_width + (z * (prepared.cross + prepared.inverse @ z)).sum(axis=0)
    split = prepared.base + prepared.theta @ z + prepared.alpha * np.sqrt(width) + prepared.beta_variance * width
    assert split == pytest.approx(whole, rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    kinds=st.lists(st.sampled_from(["same", "tiny", "huge", "zero", "one column", "any"]), min_size=1, max_size=12),
)
def test_a_stays_positive_definite_under_any_sequence_of_updates(seed: int, kinds: list[str]) -> None:
    rng = np.random.default_rng(seed)
    state = linucb.initial()
    for kind in kinds:
        x = rng.uniform(-1, 1, (20, 18))
        if kind == "same":
            x[:] = 100.0 * np.sign(x[0])
        elif kind == "one column":
            x[:, 1:] = 0.0
        else:
            x *= {"tiny": 1e-160, "huge": 100.0, "zero": 0.0, "any": 1.0}[kind]
        state = linucb.update_many(state, x, rng.choice([-100.0, 0.0, 100.0], 20))
        assert np.array_equal(state.A, state.A.T)
        np.linalg.cholesky(state.A)
        known = linucb.derive(state)
        assert np.linalg.eigvalsh(known.inverse).min() > 0
        assert np.isfinite(known.theta).all()
        assert np.isfinite(linucb.score(state, x, alpha=1e6, beta=1e6).ucb).all()


def test_ten_thousand_updates_drift_no_further_than_1e_8_from_a_fresh_factorisation() -> None:
    rng = np.random.default_rng(8)
    x = rng.uniform(0, 1, (10_000, 18)) * rng.choice([0.1, 1.0, 5.0], 18)
    rewards = rng.uniform(-1, 1, 10_000)
    state = linucb.initial()
    for start in range(0, 10_000, 500):
        state = linucb.update_many(state, x[start : start + 500], rewards[start : start + 500])
    known = linucb.derive(state)
    rows = [[math.fsum((x[:, i] * x[:, j]).tolist()) + (i == j) for j in range(18)] for i in range(18)]
    sums = [math.fsum((x[:, i] * rewards).tolist()) for i in range(18)]
    inverse = np.linalg.inv(np.array(rows))
    assert np.abs(known.inverse - inverse).max() < 1e-8
    assert np.abs(known.theta - inverse @ np.array(sums)).max() < 1e-8
