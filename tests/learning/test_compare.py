"""What if: on feeds that were really ranked, with rewards that are made up."""

from dataclasses import replace

import numpy as np
import pytest
from tests.ranking.factory import NOW, random_snapshot

from talentfeed.contracts import FeedRequest, Policy, Snapshot
from talentfeed.errors import LogError, SnapshotError
from talentfeed.learning.compare import Comparison, Served, compare, parse
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.feed import initial_policy, parse_pattern, prepare, rank
from talentfeed.ranking.presets import Preset, preset
from talentfeed.ranking.record import FeedRecord, VersionGoneError, served_slots

CLASSIC = preset("classic")
SNAPSHOT = random_snapshot(120, 10, 60, seed=5)
EPSILON = 0.5


def logged(feeds: int) -> list[Served]:
    """Feeds with much exploration; whose reward is 1 for every third item."""
    ranker = prepare(SNAPSHOT, initial_policy(), CLASSIC, epsilon=EPSILON)
    log = []
    for seed in range(feeds):
        request = FeedRequest(
            endpoint="total",
            pattern=parse_pattern("VMP AU AU VMP NU FW"),
            size=12,
            excluded_ids=np.zeros(0, np.int64),
            recent_creators=(),
            shown_flows=np.zeros(0, np.int32),
        )
        user = seed % 60 + 1
        slate = rank(ranker, viewers.read(SNAPSHOT, user, ()), request, now=NOW, seed=seed)
        record = FeedRecord(
            feed_id=f"{seed:032x}",
            snapshot=SNAPSHOT.manifest.version,
            policy="initial",
            preset="classic",
            epsilon=EPSILON,
            user_id=user,
            events=(),
            request=request,
            now=NOW,
            slots=served_slots(SNAPSHOT, slate),
        )
        log.append(Served(record=record, reward=np.array([float(slot.id % 3 == 0) for slot in record.slots])))
    return log


def load(version: str) -> Snapshot:
    if version != SNAPSHOT.manifest.version:
        raise SnapshotError("gone")
    return SNAPSHOT


def policy(version: str, chosen: Preset) -> Policy:
    if version != "initial":
        raise VersionGoneError("gone")
    return initial_policy(chosen)


def judged(log: list[Served], *written: str) -> Comparison:
    return compare(log, [parse(text) for text in written], load=load, policy=policy, resamples=200)


@pytest.fixture(scope="module")
def log() -> list[Served]:
    return logged(120)


def test_the_policy_that_served_earns_what_it_earned(log: list[Served]) -> None:
    found = judged(log, "logged").policies["logged"]
    assert found.effective_rows == pytest.approx(found.rows)
    for name in ("ips", "snips", "dr"):
        assert found.estimates[name].value == pytest.approx(found.logged.value, abs=0.02 if name == "dr" else 1e-9)


def test_more_exploration_is_covered_by_the_log_and_earns_what_chance_earns(log: list[Served]) -> None:
    found = judged(log, "epsilon=1").policies["epsilon=1"]
    assert not [warning for warning in found.warnings if "mean" in warning]
    assert found.mean_weight == pytest.approx(1.0, abs=0.15)
    assert found.estimates["snips"].low <= 0.4
    assert found.estimates["snips"].high >= 0.25


def test_changes_of_weights_and_patterns_are_judged_on_the_same_places(log: list[Served]) -> None:
    names = ("logged", "affinity.match=0", "pattern=NU NU VMP FW,epsilon=0.4", "preset=classic")
    found = judged(log, *names)
    assert found.feeds == len(log)
    assert set(found.policies) == set(names)
    assert len({one.rows for one in found.policies.values()}) == 1
    assert set(found.differences) == set(names[1:])
    for name, difference in found.differences.items():
        assert set(difference) == {"ips", "snips", "dr"}
        for estimate, one in difference.items():
            first, other = (found.policies[policy].estimates[estimate].value for policy in ("logged", name))
            assert one.value == pytest.approx(other - first)
            assert one.low <= one.value <= one.high
    same = found.differences["preset=classic"]["ips"]
    assert [same.low, same.high] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert found.policies["affinity.match=0"].effective_rows < found.policies["logged"].effective_rows
    assert found.policies["preset=classic"].estimates["ips"].value == pytest.approx(
        found.policies["logged"].estimates["ips"].value
    )


def test_no_overlap_is_warned_of() -> None:
    found = judged(logged(3), "epsilon=0,affinity.match=-50").policies["epsilon=0,affinity.match=-50"]
    assert any("too little overlap" in warning for warning in found.warnings)


def test_feeds_whose_snapshot_is_gone_are_counted(log: list[Served]) -> None:
    gone = [replace(one, record=replace(one.record, snapshot="old")) for one in log[:3]]
    found = judged([*gone, *log[3:10]], "logged")
    assert (found.feeds, found.skipped) == (7, {"snapshot is gone": 3})
    with pytest.raises(LogError, match="no feed of 3"):
        judged(gone, "logged")


@pytest.mark.parametrize(
    "written",
    ["", "match=3", "affinity.match", "affinity.match=x", "epsilon=1,epsilon=0", "pattern=XX", "preset=none", "a.b=1"],
)
def test_what_is_no_policy_says_what_is_accepted(written: str) -> None:
    with pytest.raises(LogError, match="accepted"):
        parse(written)


@pytest.mark.parametrize("written", ["epsilon=2", "policy=9-abc", "affinity.size=0"])
def test_a_policy_that_cannot_rank_is_an_error_of_who_asks(log: list[Served], written: str) -> None:
    with pytest.raises(LogError, match="--policy"):
        judged(log[:2], written)
