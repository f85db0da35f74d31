"""How videos suit viewers, as the fit sees it: by the profile alone, and by what had been done by then."""

import numpy as np
import pytest
from tests.ranking.factory import NOW, make_snapshot, seen, user, video

from talentfeed.contracts import SECONDS_PER_DAY, Snapshot
from talentfeed.learning.suiting import Suiting

VIDEOS = np.arange(6)
SALSA, LAW = [1.0, 0.15], [0.0, 0.0]  # the one skill that there is; 15 points of 100
CUT = NOW - 5 * SECONDS_PER_DAY


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """Videos of salsa and of law in turn; a dancer who came to like law, somebody without a profile, and a lawyer."""
    videos = [video(n, skills=["salsa" if n % 2 else "law"]) for n in range(1, 7)]
    dancer = user(1, skills=["salsa"], history=[seen(2, days_ago=1), seen(1, days_ago=9)])
    nobody = user(2, history=[seen(2, days_ago=9), seen(4, days_ago=8)])
    return make_snapshot(videos, users=[dancer, nobody, user(3, skills=["law"])])


def looked(snapshot: Snapshot, **unknown: list[int]) -> Suiting:
    hidden = {int(name[1:]): np.array(rows, np.int64) for name, rows in unknown.items()}
    return Suiting(snapshot, before=CUT, unknown=hidden)


def row(snapshot: Snapshot, user_id: int) -> int:
    return int(np.searchsorted(snapshot.users.id, user_id))


def test_by_profile_everybody_is_new(snapshot: Snapshot) -> None:
    found = looked(snapshot).by_profile(row(snapshot, 1), VIDEOS)
    assert found is not None
    assert found.tolist() == pytest.approx(np.array([SALSA, LAW] * 3))


def test_a_profile_that_says_nothing_teaches_nothing(snapshot: Snapshot) -> None:
    assert looked(snapshot).by_profile(row(snapshot, 2), VIDEOS) is None


def test_what_was_done_later_is_not_in_the_taste(snapshot: Snapshot) -> None:
    assert looked(snapshot).by_taste(row(snapshot, 1), VIDEOS).tolist() == pytest.approx(np.array([SALSA, LAW] * 3))


def test_what_is_asked_for_is_not_in_the_taste_whenever_it_was(snapshot: Snapshot) -> None:
    nobody = row(snapshot, 2)
    assert looked(snapshot).by_taste(nobody, VIDEOS)[1].tolist() == pytest.approx(SALSA)  # the second is of law
    hidden = looked(snapshot, **{f"u{nobody}": [1, 3]}).by_taste(nobody, VIDEOS)
    assert hidden.tolist() == pytest.approx(np.array([[0.5, 0.0]] * 6))  # a blank


def test_users_of_a_snapshot_are_asked_for_by_their_rows(snapshot: Snapshot) -> None:
    found = looked(snapshot).by_profile(row(snapshot, 3), VIDEOS[:2])
    assert found is not None
    assert found.tolist() == pytest.approx(np.array([LAW, SALSA]))
