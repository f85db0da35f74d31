"""The signals against slow counts made by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.learning.made import CLOCK, USERS, VIDEOS, two_circles

from talentfeed.contracts import NO_DATE, SECONDS_PER_DAY
from talentfeed.evidence import Interactions
from talentfeed.snapshot import signals


def log(*rows: tuple[int, int, float | None, float]) -> Interactions:
    """(user, video, days ago, reward) oldest first; None: no time."""
    users, videos, days, rewards = zip(*rows, strict=True)
    return Interactions(
        user=np.array(users, np.int32),
        video=np.array(videos, np.int32),
        at=np.array([NO_DATE if d is None else CLOCK - d * SECONDS_PER_DAY for d in days]),
        reward=np.array(rewards, np.float64),
    )


def test_popularity_halves_every_half_life_and_leaves_out_what_has_no_time() -> None:
    rows = log((0, 1, None, 1.0), (0, 0, 6.0, 0.5), (1, 0, 3.0, 1.0), (2, 1, 0.0, 0.0))
    assert signals.popularity(rows, 3, clock=CLOCK, half_life=3.0).tolist() == [0.75, 1.0, 0.0]
    assert signals.popularity(rows, 3, clock=CLOCK, half_life=3.0, rewards=True).tolist() == [0.625, 0.0, 0.0]


def test_the_prior_is_the_one_that_the_means_were_drawn_from() -> None:
    rng = np.random.default_rng(1)
    shown = rng.integers(5, 200, 4_000).astype(np.float64)
    rewarded = rng.binomial(shown.astype(np.int64), rng.beta(3.0, 7.0, 4_000)).astype(np.float64)
    a, b = signals.beta_prior(rewarded, shown)
    assert a / (a + b) == pytest.approx(0.3, abs=0.01)
    assert a + b == pytest.approx(10.0, rel=0.1)


def test_means_that_spread_by_chance_alone_get_a_strong_prior() -> None:
    rng = np.random.default_rng(2)
    rewarded = rng.binomial(50, 0.3, 2_000).astype(np.float64)
    assert sum(signals.beta_prior(rewarded, np.full(2_000, 50.0))) > 200


@pytest.mark.parametrize(("rewarded", "shown"), [([], []), ([0.0], [0.0]), ([3.0], [3.0]), ([0.0, 0.0], [5.0, 2.0])])
def test_the_prior_is_proper_whatever_is_known(rewarded: list[float], shown: list[float]) -> None:
    a, b = signals.beta_prior(np.array(rewarded), np.array(shown))
    assert a > 0
    assert b > 0
    assert np.isfinite(a + b)


EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60)


@given(EVENTS, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_newest_of_each_user_are_distinct_and_newest_first(events: list[tuple[int, int]], most: int) -> None:
    expected = []
    for user in range(5):
        seen = dict.fromkeys(video for who, video in reversed(events) if who == user)
        expected += [(user, video) for video in list(seen)[:most]]
    pairs = np.array(events, np.int32)
    found = signals.newest(pairs[:, 0], pairs[:, 1], most)
    assert list(zip(found[0].tolist(), found[1].tolist(), strict=True)) == expected


@given(EVENTS)
@settings(max_examples=40, deadline=None)
def test_neighbours_are_the_nearest_by_shared_viewers_and_the_rest_is_a_mean(events: list[tuple[int, int]]) -> None:
    viewers = [{user for user, video in events if video == v} for v in range(7)]

    def closeness(one: int, other: int) -> float:
        both = (len(viewers[one]) * len(viewers[other])) ** 0.5 + signals.SHRINK
        return float(len(viewers[one] & viewers[other]) / both)

    rows = log(*((user, video, 1.0, 1.0) for user, video in events))
    index, value, apart = signals.neighbours(rows, 5, 7, k=3)
    left: dict[int, list[float]] = {v: [] for v in range(7)}
    for one in range(7):
        near = sorted((v for v in range(7) if v != one), key=lambda v: (-closeness(one, v), v))
        assert value[one].tolist() == pytest.approx([closeness(one, v) for v in near[:3]], rel=1e-6)
        for v in set(range(7)) - set(index[one].tolist()):
            left[v].append(0.0 if v == one else closeness(one, v))
    assert apart.tolist() == pytest.approx([sum(left[v]) / max(len(left[v]), 1) for v in range(7)], rel=1e-6)


def test_the_same_rows_give_the_same_bytes() -> None:
    rows = two_circles()
    one, other = (signals.build(rows, USERS, VIDEOS, clock=CLOCK, seed=3) for _ in range(2))
    for name in ("items", "factors", "gram", "neighbour", "closeness", "apart"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


def test_factors_are_the_same_bytes_whatever_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    rows = log(
        *((int(user), int(video), 1.0, 1.0) for user, video in zip(*rng.integers(0, 300, (2, 6_000)), strict=True))
    )
    found = []
    for threads in (1, 2, 2, 5):
        monkeypatch.setattr(signals, "THREADS", threads)
        found.append(signals.als(rows, 300, 300).tobytes())
    assert len(set(found)) == 1
    assert any(found[0])


def test_factors_keep_the_circles_apart() -> None:
    factors = signals.als(two_circles(), USERS, VIDEOS)
    own, other = factors[:10] @ factors[:10].T, factors[:10] @ factors[30:40].T
    assert own.mean() > 1.3 * other.mean()


def test_items_are_the_logarithms_of_what_was_counted() -> None:
    rows = log((0, 0, 3.0, 1.0), (1, 0, 3.0, 0.0), (1, 1, None, 1.0))
    found = signals.build(rows, 2, 3, clock=CLOCK)
    a, b = found.prior
    assert np.exp(found.items[:, 1]).tolist() == pytest.approx([1.5, 0.5, 0.5])
    assert np.exp(found.items[:, 2]).tolist() == pytest.approx([3.0, 2.0, 1.0])
    assert np.exp(found.items[:, 3]).tolist() == pytest.approx(
        [(1 + a) / (2 + a + b), (1 + a) / (1 + a + b), a / (a + b)]
    )


def test_nothing_shown_gives_signals_that_say_nothing() -> None:
    rows = log((0, 0, 1.0, 1.0))
    none = replace(rows, **{name: getattr(rows, name)[:0] for name in ("user", "video", "at", "reward")})
    found = signals.build(none, 2, 3, clock=CLOCK)
    assert not found.factors.any()
    assert np.ptp(found.items, axis=0).tolist() == [0, 0, 0, 0]
