"""The off-policy estimates on the Open Bandit samples, beside the published pipeline's figures."""

import os
from pathlib import Path

import pytest

from talentfeed.learning import off_policy, open_bandit

pytestmark = pytest.mark.data

REFERENCE = {
    "all": {"ips": 0.00455, "snips": 0.00478, "dr": 0.00468},
    "men": {"ips": 0.00453, "snips": 0.00460, "dr": 0.00462},
    "women": {"ips": 0.00679, "snips": 0.00679, "dr": 0.00691},
}


def samples() -> Path:
    given = os.environ.get("DATA")
    if not given:
        pytest.fail("DATA is not set; run: make test-data DATA=folder")
    return Path(given) / "open_bandit"


@pytest.mark.parametrize("campaign", REFERENCE)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_estimates_from_the_random_log_are_the_reference_s(campaign: str, seed: int) -> None:
    target = open_bandit.shares(*open_bandit.read_prior(samples() / "prior_bts.yaml", campaign), seed=seed)
    found = off_policy.judge(open_bandit.choices(open_bandit.read(samples(), campaign), target), seed=seed)
    values = {name: found.estimates[name].value for name in ("ips", "snips", "dr")}
    assert values == pytest.approx(REFERENCE[campaign], abs=0.0003)
    assert all(e.low < REFERENCE[campaign][n] < e.high for n, e in found.estimates.items() if n != "replay")


@pytest.mark.parametrize("campaign", REFERENCE)
def test_the_intervals_hold_what_the_policy_really_earned(campaign: str) -> None:
    target = open_bandit.shares(*open_bandit.read_prior(samples() / "prior_bts.yaml", campaign))
    found = off_policy.judge(open_bandit.choices(open_bandit.read(samples(), campaign), target))
    earned = float(open_bandit.read(samples(), campaign, policy="bts").click.mean())
    for name, estimate in found.estimates.items():
        assert estimate.low <= earned <= estimate.high, name
