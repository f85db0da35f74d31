"""What another policy would have chosen: for the policy that served, it is what was logged."""

from dataclasses import replace

import numpy as np
import pytest
from tests.ranking.factory import NOW, random_snapshot

from talentfeed.contracts import FeedRequest, Kind
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.counterfactual import chances
from talentfeed.ranking.feed import initial_policy, parse_pattern, prepare, rank
from talentfeed.ranking.presets import preset

CLASSIC = preset("classic")


@pytest.mark.parametrize("epsilon", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("size", [(400, 30), (40, 4), (25, 0)])  # in the small ones rules give way
def test_of_the_policy_that_served_the_chances_are_those_that_were_logged(
    size: tuple[int, int], epsilon: float
) -> None:
    snapshot = random_snapshot(*size, 60, seed=3)
    ranker = prepare(snapshot, initial_policy(), CLASSIC, epsilon=epsilon)
    draws = 0
    for seed in range(12):
        request = page("VMP AU AU VMP NU FW" if seed % 3 else "EXPLORE NU VMP")
        viewer = viewers.read(snapshot, seed + 1, ())
        slate = rank(ranker, viewer, request, now=NOW, seed=seed)
        served = [(slot.kind, slot.index) for slot in slate.slots]
        found = chances(ranker, viewer, request, served, now=NOW, seed=seed)
        for slot, chance in zip(slate.slots, found, strict=True):
            if chance is not None:
                assert chance.of_choice == pytest.approx(slot.probability, rel=1e-9), slot
                draws += 1
    assert draws > 100


def page(pattern: str) -> FeedRequest:
    return FeedRequest(
        endpoint="total",
        pattern=parse_pattern(pattern),
        size=24,
        excluded_ids=np.zeros(0, np.int64),
        recent_creators=(),
        shown_flows=np.zeros(0, np.int32),
    )


@pytest.mark.parametrize("pattern", ["VMP AU AU VMP NU FW", "EXPLORE"])
def test_another_policys_chances_are_a_distribution_over_what_may_stand(pattern: str) -> None:
    snapshot = random_snapshot(150, 12, 40, seed=3)
    ranker = prepare(snapshot, initial_policy(), CLASSIC)
    other = prepare(snapshot, initial_policy(), replace(CLASSIC, epsilon=0.3))
    viewer = viewers.read(snapshot, 3, ())
    slate = rank(ranker, viewer, page("VMP AU NU FW"), now=NOW, seed=9)
    served = [(slot.kind, slot.index) for slot in slate.slots]
    ones = {Kind.VIDEO: np.ones(150), Kind.FLOW: np.ones(12)}
    found = chances(other, viewer, page(pattern), served, now=NOW, seed=9, worth=ones)
    for chance in found:
        assert chance is not None
        assert chance.expected == pytest.approx(1.0)
        assert 0.0 <= chance.of_choice <= 1.0
