"""The Open Bandit reader on small made folders: what is read, what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from talentfeed.errors import LogError
from talentfeed.learning import open_bandit

PRIOR = "men:\n  alpha:\n    - 1.0\n    - 1.0\n    - 1.0\n  beta:\n    - 9.0\n    - 9\n    - 9.0\n\n"
LOG = (
    ",timestamp,item_id,position,click,propensity_score\n"
    "0,2019-11-24,2,3,0,0.25\n1,2019-11-24,0,1,1,0.5\n2,2019-11-24,0,1,0,0.5\n"
)


def folder(at: Path, log: str = LOG, prior: str = PRIOR) -> Path:
    (at / "random/men").mkdir(parents=True)
    (at / "random/men/men.csv.gz").write_bytes(gzip.compress(log.encode()))
    (at / "prior_bts.yaml").write_text(prior)
    return at


def test_a_log_is_read_with_its_places_counted_from_zero(tmp_path: Path) -> None:
    there = folder(tmp_path)
    assert open_bandit.campaigns(there) == ["men"]
    log = open_bandit.read(there, "men")
    assert (log.item.tolist(), log.place.tolist(), log.click.tolist()) == ([2, 0, 0], [2, 0, 0], [0, 1, 0])
    assert log.logged.tolist() == [0.25, 0.5, 0.5]


def test_the_prior_is_read_item_by_item(tmp_path: Path) -> None:
    alpha, beta = open_bandit.read_prior(folder(tmp_path) / "prior_bts.yaml", "men")
    assert (alpha.tolist(), beta.tolist()) == ([1, 1, 1], [9, 9, 9])


def test_the_model_of_the_reward_is_drawn_toward_the_mean(tmp_path: Path) -> None:
    log = open_bandit.read(folder(tmp_path), "men")
    target = np.full((3, 3), 1 / 3)
    found = open_bandit.choices(log, target)
    mean = 1 / 3
    assert found.predicted is not None
    assert found.expected is not None
    of_first = (1 + 50 * mean) / 52  # item 0 at place 0: two rows, a click
    assert found.predicted.tolist() == pytest.approx([50 * mean / 51, of_first, of_first])
    assert found.expected[1] == pytest.approx((of_first + mean + mean) / 3)
    assert found.target.tolist() == pytest.approx([1 / 3] * 3)


def test_items_of_one_prior_are_shown_alike_and_a_better_one_first() -> None:
    alike = open_bandit.shares(np.ones(4), np.ones(4), simulations=20_000)
    assert alike == pytest.approx(np.full((4, 3), 0.25), abs=0.02)
    ahead = open_bandit.shares(np.array([900.0, 1, 1, 1]), np.array([1.0, 99, 99, 99]), simulations=15_000)
    assert ahead[0].tolist() == [1, 0, 0]
    assert ahead.sum(axis=0).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (LOG.replace("click", "tap"), "no column click"),
        (LOG.replace("0,2019-11-24,2,3", "0,2019-11-24,x,3"), "line 2: invalid literal"),
        (LOG.replace("0,2019-11-24,2,3", "0,2019-11-24,2,4"), "line 2: item 2 at position 4"),
        (LOG.splitlines()[0], "no rows"),
    ],
)
def test_a_log_of_another_form_is_refused_with_its_place(log: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=reason):
        open_bandit.read(folder(tmp_path, log), "men")


@pytest.mark.parametrize(
    ("prior", "reason"),
    [
        (PRIOR.replace("- 9\n", "- nine\n"), "line 8"),
        (PRIOR.replace("    - 9\n", ""), "3 alpha and 2 beta for men"),
        (PRIOR.replace("men", "all"), "0 alpha and 0 beta for men"),
        (PRIOR.replace("- 9\n", "- 0\n"), "accepted: both > 0"),
    ],
)
def test_a_prior_of_another_form_is_refused(prior: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=reason):
        open_bandit.read_prior(folder(tmp_path, prior=prior) / "prior_bts.yaml", "men")


def test_what_is_absent_or_does_not_fit_is_said(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="an Open Bandit folder"):
        open_bandit.campaigns(tmp_path)
    with pytest.raises(LogError, match=r"prior_bts\.yaml"):
        open_bandit.read_prior(tmp_path / "prior_bts.yaml", "men")
    log = open_bandit.read(folder(tmp_path), "men")
    with pytest.raises(LogError, match="item 2 is in the log"):
        open_bandit.choices(log, np.full((2, 3), 0.5))
    (tmp_path / "random/men/men.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(LogError, match="gzipped CSV"):
        open_bandit.read(tmp_path, "men")
    with pytest.raises(LogError, match="at least 3"):
        open_bandit.shares(np.ones(2), np.ones(2))
