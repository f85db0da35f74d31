"""The ranking protocol: its figures against counts by hand, and a planted leak that is caught."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ranking.factory import NOW, make_snapshot, seen, user, video

from talentfeed.contracts import NO_DATE, Ints
from talentfeed.errors import DatasetError, LeakError
from talentfeed.evaluation import protocol
from talentfeed.evidence import Interactions


def log(*rows: tuple[int, int, float, float]) -> Interactions:
    """(user, video, at, reward)."""
    users, videos, times, rewards = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Interactions(
        user=np.array(users, np.int32),
        video=np.array(videos, np.int32),
        at=np.array(times, np.float64),
        reward=np.array(rewards, np.float64),
    )


def rows(*videos: int) -> Ints:
    return np.array(videos, np.int64)


HISTORY = log((0, 5, NO_DATE, 1.0))
TRAINING = log((0, 1, 10.0, 1.0), (0, 2, 20.0, 0.0), (1, 2, 30.0, 1.0))
TEST = log((0, 3, 40.0, 1.0), (0, 1, 41.0, 1.0), (0, 5, 42.0, 1.0), (1, 4, 43.0, 0.5), (2, 0, 44.0, 1.0))


def split() -> protocol.Split:
    return protocol.with_test(HISTORY, TRAINING, TEST)


def test_the_last_fifth_is_cut_off_by_time_and_what_has_no_time_stays_out() -> None:
    whole = log((0, 9, NO_DATE, 1.0), *((0, n, 10.0 * (n + 1), 1.0) for n in range(10)))
    found = protocol.last_share(HISTORY, whole)
    assert found.cut == 90.0
    assert found.training.video.tolist() == [5, 0, 1, 2, 3, 4, 5, 6, 7]
    assert found.test.video.tolist() == [8, 9]


def test_a_later_period_begins_at_the_cut_and_training_that_reaches_into_it_stays_out() -> None:
    late = log(*((0, n, 35.0 + 10 * n, 1.0) for n in range(2)))
    found = protocol.with_test(HISTORY, late, TEST)
    assert found.cut == 40.0
    assert found.training.at.tolist() == [NO_DATE, 35.0]


def test_a_planted_leak_is_caught() -> None:
    good = split()
    for name in ("user", "video", "at", "reward"):
        assert len(getattr(good.training, name)) == 4
    planted = replace(
        good.training,
        **{
            name: np.concatenate([getattr(good.training, name), getattr(good.test, name)[:1]])
            for name in ("user", "video", "at", "reward")
        },
    )
    with pytest.raises(LeakError, match="1 training rows are not before the cut"):
        protocol.Split(training=planted, test=good.test, cut=good.cut)
    with pytest.raises(LeakError, match="1 test rows are"):
        protocol.Split(training=good.training, test=good.test, cut=41.0)


def test_a_snapshot_that_knows_of_later_is_caught() -> None:
    known = make_snapshot(videos=[video(1)], users=[user(1, history=[seen(1, days_ago=2.0)])])
    protocol.check_snapshot(known, NOW + 1.0)
    with pytest.raises(LeakError, match="the snapshot knows of"):
        protocol.check_snapshot(known, NOW)
    early = replace(known, manifest=replace(known.manifest, watermark=NOW - 3 * 86_400.0))
    with pytest.raises(LeakError, match="not built before it"):
        protocol.check_snapshot(early, NOW - 2.5 * 86_400.0)


def test_a_page_with_what_was_shown_before_is_caught() -> None:
    job = protocol.task(split(), 3, 6)
    with pytest.raises(LeakError, match="no candidate"):
        protocol.measure(job, lambda _: rows(1, 3))
    with pytest.raises(LeakError, match="or one twice"):
        protocol.measure(job, lambda _: rows(3, 3))


def test_what_is_asked_for_is_what_was_liked_later_and_not_shown_before() -> None:
    job = protocol.task(split(), 3, 6)
    assert job.users.tolist() == [0, 2]
    assert {u: found.tolist() for u, found in job.positives.items()} == {0: [3], 2: [0]}
    assert {u: found.tolist() for u, found in job.shown.items()} == {0: [2, 1, 5], 2: []}
    assert job.events.tolist() == [3, 0]


def test_recall_ndcg_and_coverage_are_as_counted_by_hand() -> None:
    job = protocol.Task(
        n_videos=40,
        users=rows(0, 1),
        positives={0: rows(7, 8), 1: rows(30)},
        shown={0: rows(), 1: rows()},
        events=rows(0, 0),
    )
    page = {0: rows(1, 7, 2), 1: rows(*range(25))}
    found = protocol.measure(job, page.__getitem__)
    assert found.recall.tolist() == [0.5, 0.0]
    assert found.ndcg[0] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))
    assert found.coverage == 24 / 40  # the 25th place is none


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.sets(st.integers(0, 39)))
@settings(max_examples=80, deadline=None)
def test_the_best_are_those_of_a_whole_sort(scores: list[int], out: set[int]) -> None:
    left = [n for n in range(len(scores)) if n not in out]
    expected = sorted(left, key=lambda n: (-scores[n], n))[:24]
    found = protocol.best(np.array(scores, np.float64), rows(*(n for n in out if n < len(scores))))
    assert found.tolist() == expected


def test_users_are_grouped_by_what_is_known_of_them() -> None:
    found = protocol.groups(rows(0, 4, 1, 39, 40, 400))
    assert [(name, places.tolist()) for name, places in found] == [
        ("0", [0]),
        ("1-4", [1, 2]),
        ("20-39", [3]),
        ("40+", [4, 5]),
    ]


def test_an_interval_holds_the_mean_and_repeats() -> None:
    values = np.random.default_rng(0).random(500)
    low, high = protocol.interval(values, seed=1)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 500**0.5, rel=0.2)
    assert protocol.interval(values, seed=1) == (low, high)


def test_what_cannot_be_split_is_said() -> None:
    with pytest.raises(DatasetError, match="--test"):
        protocol.last_share(HISTORY, HISTORY)
    with pytest.raises(DatasetError, match="--test"):
        protocol.last_share(HISTORY, log((0, 1, 5.0, 1.0), (0, 2, 5.0, 1.0)))
    with pytest.raises(DatasetError, match="no row with a time"):
        protocol.with_test(HISTORY, TRAINING, HISTORY)
