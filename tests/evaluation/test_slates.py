"""The measures of the slate: each against a count made by hand."""

import numpy as np
import pytest
from tests.ranking.factory import NOW, flow, make_snapshot, random_snapshot, seen, user, video

from talentfeed.contracts import Kind, Pool, Rule, Slate, Slot, Snapshot
from talentfeed.evaluation import slates
from talentfeed.ranking.feed import initial_policy, parse_pattern, prepare
from talentfeed.ranking.presets import preset

PATTERN = parse_pattern("VMP AU AU VMP NU FW")


def slot(index: int, *, kind: Kind = Kind.VIDEO, pool: Pool = Pool.AFFINITY, planned: Pool | None = None) -> Slot:
    return Slot(kind, index, pool, planned or pool, 0.5, False, ())


def measured(snapshot: Snapshot, *pages: list[Slot], gave_way: tuple[Rule, ...] = ()) -> slates.SlateQuality:
    made = [Slate(slots=page, gave_way=gave_way, removed={}) for page in pages]
    return slates.measure(snapshot, made, np.full(len(pages), 0.002), now=NOW, with_history=0)


def test_windows_of_twelve_are_counted_and_those_with_a_repeated_creator_found() -> None:
    snapshot = make_snapshot(videos=[video(n, creator=n % 12) for n in range(14)])
    good = [slot(n) for n in range(13)]  # creators 0..11, 0: two windows, both whole
    bad = [slot(n) for n in (0, 1, 2, 3, 4, 5, 12, 6, 7, 8, 9, 10)]  # creator 0 twice within twelve
    assert measured(snapshot, good).creator_windows == 1.0
    assert measured(snapshot, good, bad).creator_windows == pytest.approx(2 / 3)


def test_diversity_and_newness_are_means_over_feeds() -> None:
    snapshot = make_snapshot(
        videos=[
            video(1, skills=["dance", "song"], age_days=2.0),
            video(2, skills=["dance"], age_days=100.0),
            video(3, skills=["mime"], age_days=44.9),
            video(4, age_days=None),
        ]
    )
    quality = measured(snapshot, [slot(0), slot(1)], [slot(2), slot(3)])
    assert quality.skill_diversity == pytest.approx((2 / 3 + 1) / 2)
    assert quality.skill_diversity_min == pytest.approx(2 / 3)
    assert quality.new_content == pytest.approx(0.5)
    assert quality.new_content_in_band == 1.0  # of two videos one new is 25-35 % to the nearest whole number


def test_coverage_top_share_pools_and_fallbacks_count_places() -> None:
    snapshot = make_snapshot(videos=[video(n) for n in range(4)], flows=[flow(90)])
    page = [slot(0), slot(1, pool=Pool.POPULAR, planned=Pool.FLOW), slot(0, kind=Kind.FLOW, pool=Pool.FLOW)]
    quality = measured(snapshot, page, page, gave_way=(Rule.NEW_CONTENT,))
    assert quality.catalogue_coverage == 0.5
    assert quality.top100_share == 1.0
    assert quality.pools == {"AU": pytest.approx(1 / 3), "FW": pytest.approx(1 / 3), "VMP": pytest.approx(1 / 3)}
    assert quality.fallbacks == {"FW>VMP": 2}
    assert quality.gave_way == {"new_content": 2}
    assert quality.feed_ms_p50 == pytest.approx(2.0)


def test_half_of_the_sample_has_a_history_where_there_are_enough() -> None:
    snapshot = make_snapshot(
        videos=[video(1)], users=[user(n, history=[seen(1)] if n < 30 else ()) for n in range(100)]
    )
    users = slates.sample_users(snapshot, 40, seed=1)
    assert len(set(users.tolist())) == 40
    assert np.count_nonzero(users < 30) == 20
    scarce = slates.sample_users(snapshot, 90, seed=1)
    assert len(set(scarce.tolist())) == 90
    assert np.count_nonzero(scarce < 30) == 30


def test_an_empty_platform_is_measured_without_an_error() -> None:
    ranker = prepare(make_snapshot(), initial_policy(), preset("classic"))
    quality = slates.evaluate(ranker, pattern=PATTERN, now=NOW, feeds=10)
    assert quality.feeds == 0


def test_the_promises_hold_over_the_first_feeds_of_a_catalogue_of_todays_kind() -> None:
    snapshot = random_snapshot(1_962, 94, 3_000, 5)
    ranker = prepare(snapshot, initial_policy(), preset("classic"))
    quality = slates.evaluate(ranker, pattern=PATTERN, now=NOW, feeds=60)
    assert quality.feeds == 60
    assert quality.with_history == 30
    assert quality.creator_windows == 1.0
    assert quality.skill_diversity_min >= 0.6
    assert quality.new_content_in_band == 1.0
    assert quality.gave_way == {}


def test_the_same_seed_measures_the_same_feeds() -> None:
    ranker = prepare(random_snapshot(200, 20, 300, 5), initial_policy(), preset("classic"))
    first, again, other = (slates.evaluate(ranker, pattern=PATTERN, now=NOW, feeds=30, seed=s) for s in (1, 1, 2))
    assert (first.catalogue_coverage, first.top100_share, first.skill_diversity) == (
        again.catalogue_coverage,
        again.top100_share,
        again.skill_diversity,
    )
    assert first.skill_diversity != other.skill_diversity
