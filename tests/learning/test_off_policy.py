"""Off-policy estimates against what is known of made logs: values, bounds, intervals, warnings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talentfeed.contracts import Floats
from talentfeed.errors import LogError
from talentfeed.learning.off_policy import Choices, Estimate, differences, judge


def normalised(weights: list[int]) -> Floats:
    values = np.array(weights, np.float64)
    shares: Floats = values / values.sum()
    return shares


def drawn(rows: int, seed: int, logging: Floats, target: Floats, worth: Floats) -> Choices:
    """A log of so many rows: an action by `logging`, a 0/1 reward by the action's worth."""
    rng = np.random.default_rng(seed)
    action = rng.choice(len(logging), rows, p=logging)
    reward = (rng.random(rows) < worth[action]).astype(np.float64)
    return Choices(reward=reward, logged=logging[action], target=target[action])


def spread(*values: tuple[int, float, float, float]) -> Choices:
    """(times, reward, logged, target) in rows."""
    columns = np.array([row[1:] for row in values for _ in range(row[0])], np.float64).T
    return Choices(reward=columns[0], logged=columns[1], target=columns[2])


ACTIONS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 4)), min_size=2, max_size=5).filter(
    lambda rows: any(row[1] for row in rows)
)


@given(ACTIONS)
@settings(max_examples=40, deadline=None)
def test_ips_and_snips_are_exact_on_a_log_in_which_every_action_stands_as_often_as_its_probability_says(
    rows: list[tuple[int, int, int]],
) -> None:
    logging, target = normalised([row[0] for row in rows]), normalised([row[1] for row in rows])
    worth = np.array([row[2] / 4 for row in rows])
    log = spread(
        *((4 * row[0] // 4 * row[2], 1.0, p, t) for row, p, t in zip(rows, logging, target, strict=True)),
        *((4 * row[0] // 4 * (4 - row[2]), 0.0, p, t) for row, p, t in zip(rows, logging, target, strict=True)),
    )
    found = judge(log, resamples=10)
    assert found.estimates["ips"].value == pytest.approx(target @ worth)
    assert found.estimates["snips"].value == pytest.approx(target @ worth)
    assert found.mean_weight == pytest.approx(1.0)


def test_ips_is_unbiased_over_many_drawn_logs() -> None:
    logging, target, worth = normalised([5, 3, 2]), normalised([1, 2, 7]), np.array([0.1, 0.4, 0.6])
    logs = [judge(drawn(200, seed, logging, target, worth), resamples=10).estimates["ips"].value for seed in range(400)]
    error = np.std(logs) / 20
    assert abs(np.mean(logs) - target @ worth) < 4 * error
    assert abs(np.mean(logs) - logging @ worth) > 20 * error


@given(st.lists(st.tuples(st.floats(-2, 3), st.floats(0.01, 1), st.floats(0, 1)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_snips_and_replay_stay_within_the_rewards_that_were_seen(rows: list[tuple[float, float, float]]) -> None:
    found = judge(spread(*((1, *row) for row in rows)), resamples=20)
    low, high = min(0.0, *(row[0] for row in rows)), max(0.0, *(row[0] for row in rows))
    for name in ("snips", "replay"):
        estimate = found.estimates[name]
        for value in (estimate.value, estimate.low, estimate.high):
            assert low - 1e-9 <= value <= high + 1e-9
    assert 0 <= found.effective_rows <= len(rows) + 1e-6


def test_a_policy_judged_on_its_own_log_gets_what_it_earned() -> None:
    log = drawn(500, 1, normalised([1, 2]), normalised([1, 2]), np.array([0.2, 0.7]))
    found = judge(log)
    mean = pytest.approx(log.reward.mean())
    assert [found.estimates[name].value for name in ("replay", "ips", "snips")] == [mean, mean, mean]
    assert found.logged == found.estimates["ips"]
    assert found.effective_rows == pytest.approx(500)
    assert (found.replayed, list(found.warnings)) == (500, [])


def test_dr_is_exact_under_a_perfect_model_even_where_the_probabilities_are_wrong() -> None:
    worth, target = np.array([0.25, 0.5, 1.0]), normalised([1, 1, 2])
    action = np.random.default_rng(0).integers(3, size=90)
    log = Choices(
        reward=worth[action],
        logged=np.full(90, 0.9),
        target=target[action],
        predicted=worth[action],
        expected=np.full(90, target @ worth),
    )
    estimate = judge(log).estimates["dr"]
    assert [estimate.value, estimate.low, estimate.high] == pytest.approx([target @ worth] * 3)


def test_dr_without_a_model_s_knowledge_is_ips() -> None:
    log = drawn(300, 2, normalised([1, 3]), normalised([3, 1]), np.array([0.3, 0.6]))
    blank = replace(log, predicted=np.zeros(300), expected=np.zeros(300))
    estimates = judge(blank).estimates
    assert estimates["dr"] == estimates["ips"]


def test_replay_of_a_fixed_choice_on_a_uniform_log_is_the_mean_where_both_agree() -> None:
    log = spread((30, 1.0, 0.25, 1.0), (10, 0.0, 0.25, 1.0), (120, 1.0, 0.25, 0.0))
    found = judge(log)
    assert found.replayed == 40
    assert found.estimates["replay"].value == pytest.approx(0.75)


def test_replay_keeps_rows_as_often_as_the_policy_judged_would_choose_them() -> None:
    logging, target, worth = normalised([1, 1]), normalised([1, 3]), np.array([0.0, 1.0])
    found = judge(drawn(40_000, 3, logging, target, worth), resamples=50)
    assert found.estimates["replay"].value == pytest.approx(0.75, abs=0.02)


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others() -> None:
    log = drawn(200, 4, normalised([1, 2]), normalised([2, 1]), np.array([0.2, 0.7]))
    assert judge(log, seed=5) == judge(log, seed=5)
    assert judge(log, seed=5).estimates["ips"] != judge(log, seed=6).estimates["ips"]


def test_ninety_five_in_a_hundred_intervals_hold_the_truth() -> None:
    logging, target, worth = normalised([2, 1, 1]), normalised([1, 1, 2]), np.array([0.2, 0.5, 0.7])
    held = dict.fromkeys(("ips", "snips"), 0)
    for seed in range(200):
        estimates = judge(drawn(300, seed, logging, target, worth), seed=seed, resamples=200).estimates
        for name in held:
            held[name] += estimates[name].low <= target @ worth <= estimates[name].high
    assert all(178 <= count <= 199 for count in held.values()), held


def test_rows_of_one_feed_are_resampled_together() -> None:
    rng = np.random.default_rng(6)
    of_feed = (rng.random(40) < 0.5).astype(np.float64)
    log = Choices(reward=np.repeat(of_feed, 24), logged=np.ones(960), target=np.ones(960))
    alone, together = judge(log), judge(replace(log, feed=np.repeat(np.arange(40), 24) * 7))

    def width(estimate: Estimate) -> float:
        return estimate.high - estimate.low

    assert together.estimates["ips"].value == pytest.approx(alone.estimates["ips"].value)
    assert width(together.estimates["ips"]) == pytest.approx(24**0.5 * width(alone.estimates["ips"]), rel=0.25)


def test_a_policy_earns_nothing_more_than_itself() -> None:
    log = drawn(300, 1, normalised([1, 2]), normalised([2, 1]), np.array([0.2, 0.7]))
    for found in differences(log, log).values():
        assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_what_two_policies_share_is_not_in_the_interval_of_their_difference() -> None:
    """Whole feeds of 24 are liked or not, which moves both alike; every hundredth choice is a little more likely."""
    rng = np.random.default_rng(2)
    feed = np.repeat(np.arange(60), 24)
    reward = np.clip(np.repeat(rng.random(60), 24) + 0.1 * rng.normal(size=1440), 0.0, 1.0)
    log = Choices(reward=reward, logged=np.full(1440, 0.5), target=np.full(1440, 0.5), feed=feed)
    other = replace(log, target=np.where(np.arange(1440) % 100 == 0, 0.55, 0.5))
    found = differences(log, other)
    for name in ("ips", "snips"):
        one, two = judge(log).estimates[name], judge(other).estimates[name]
        assert found[name].value == pytest.approx(two.value - one.value)
        assert found[name].high - found[name].low < 0.1 * (one.high - one.low)
    assert found["ips"].low > 0.0


def test_ninety_five_in_a_hundred_intervals_of_a_difference_hold_the_truth() -> None:
    logging, worth = normalised([2, 1, 1]), np.array([0.2, 0.5, 0.7])
    one, two = normalised([1, 1, 2]), normalised([1, 2, 1])
    held = dict.fromkeys(("ips", "snips"), 0)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        action = rng.choice(3, 300, p=logging)
        reward = (rng.random(300) < worth[action]).astype(np.float64)
        logs = [Choices(reward=reward, logged=logging[action], target=target[action]) for target in (one, two)]
        found = differences(*logs, seed=seed, resamples=200)
        for name in held:
            held[name] += found[name].low <= (two - one) @ worth <= found[name].high
    assert all(178 <= count <= 199 for count in held.values()), held


def test_two_policies_are_compared_on_the_same_rows_alone() -> None:
    log = drawn(30, 1, normalised([1, 2]), normalised([2, 1]), np.array([0.2, 0.7]))
    with pytest.raises(LogError, match="the same rows"):
        differences(log, replace(log, reward=1.0 - log.reward))


def test_many_rows_are_resampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from talentfeed.learning import off_policy

    log = drawn(200, 7, normalised([1, 2]), normalised([2, 1]), np.array([0.2, 0.7]))
    whole = judge(log, resamples=101)
    monkeypatch.setattr(off_policy, "_CHUNK", 1_000)
    assert judge(log, resamples=101) == whole


def test_a_small_overlap_is_warned_of() -> None:
    found = judge(spread((990, 0.0, 0.99, 0.01), (10, 1.0, 0.01, 0.99)))
    assert found.effective_rows == pytest.approx(10.2, abs=0.1)
    assert any("too little overlap to conclude" in text for text in found.warnings)


def test_choices_that_the_log_never_makes_are_warned_of() -> None:
    found = judge(spread((500, 1.0, 0.5, 0.1), (500, 0.0, 0.5, 0.2)))
    assert any("the log never does" in text for text in found.warnings)


def test_one_row_that_carries_the_estimate_is_warned_of() -> None:
    found = judge(spread((1_000, 1.0, 0.5, 0.4), (1_000, 0.0, 0.5, 0.4), (1, 1.0, 0.01, 1.0)))
    assert any("one row carries" in text for text in found.warnings)


def test_too_few_rewards_are_warned_of() -> None:
    found = judge(spread((2_000, 0.0, 0.5, 0.5), (3, 1.0, 0.5, 0.5)))
    assert found.effective_rewards == pytest.approx(3)
    assert [text for text in found.warnings if "too few rewards to conclude" in text] == list(found.warnings)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"reward": np.zeros(0), "logged": np.zeros(0), "target": np.zeros(0)}, "no rows"),
        ({"target": np.ones(3)}, "target has the shape"),
        ({"reward": np.array([0.0, np.nan])}, "reward is not finite in row 1"),
        ({"logged": np.array([0.5, 0.0])}, "logged is 0.0 in row 1"),
        ({"logged": np.array([1.5, 0.5])}, "logged is 1.5 in row 0"),
        ({"target": np.array([0.5, -0.1])}, "target is -0.1 in row 1"),
        ({"target": np.array([1.1, 0.1])}, "target is 1.1 in row 0"),
        ({"predicted": np.ones(2)}, "by half"),
    ],
)
def test_a_damaged_log_is_refused_with_the_reason(wrong: dict[str, Floats], reason: str) -> None:
    good = Choices(reward=np.zeros(2), logged=np.ones(2), target=np.ones(2))
    with pytest.raises(LogError, match=reason):
        judge(replace(good, **wrong))  # type: ignore[arg-type]


def test_a_log_that_the_policy_would_never_have_made_is_worth_nothing_and_said_so() -> None:
    found = judge(spread((300, 1.0, 0.5, 0.0)))
    assert (found.estimates["ips"].value, found.estimates["snips"].value, found.effective_rows) == (0.0, 0.0, 0.0)
    assert found.warnings
