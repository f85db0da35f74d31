"""A bad snapshot never replaces a good one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.ranking.factory import random_snapshot
from tests.ranking.signals import with_signals

from talentfeed.contracts import Snapshot
from talentfeed.errors import SnapshotError
from talentfeed.snapshot.checks import check


def changed(snapshot: Snapshot, part: str, **arrays: Any) -> Snapshot:
    return replace(snapshot, **{part: replace(getattr(snapshot, part), **arrays)})


def counted(**counts: int) -> Any:
    snapshot = random_snapshot(30, 4, 20, 1)
    return replace(snapshot.manifest, counts={"videos": 100, "flows": 100, "users": 100, **counts})


def test_a_good_snapshot_passes() -> None:
    check(random_snapshot(30, 4, 20, 1))
    check(random_snapshot(0, 0, 0, 1))


def test_everything_that_is_wrong_is_said_at_once() -> None:
    good = random_snapshot(30, 4, 20, 1)
    features = good.videos.features.copy()
    features[3, 0] = np.nan
    bad = changed(good, "videos", features=features, creator=good.videos.creator + 10_000)
    bad = changed(bad, "users", history_start=good.users.history_start[::-1].copy())
    bad = changed(bad, "flows", id=good.flows.id[::-1].copy(), city=good.flows.city[:-1])
    with pytest.raises(SnapshotError) as caught:
        check(bad)
    for expected in (
        "videos.features: 1 values are not finite",
        "videos.creator: 30 references point outside",
        "users.history_start: no row pointers",
        "flows.id: not ascending",
        "flows.city: shape (3,) where (4,) belongs",
    ):
        assert expected in str(caught.value)


def test_signals_that_do_not_fit_are_not_published() -> None:
    good = with_signals(random_snapshot(30, 4, 20, 1), 1)
    assert good.signals is not None
    check(good)
    near = good.signals.neighbour.copy()
    near[3, 0] = 30
    items = good.signals.items.copy()
    items[1, 1] = np.inf
    with pytest.raises(SnapshotError) as caught:
        check(changed(good, "signals", neighbour=near, items=items, apart=good.signals.apart[1:], prior=(0.0, 1.0)))
    for expected in (
        "signals.neighbour: 1 references point outside 0..29",
        "signals.items: 1 values are not finite",
        "signals.apart: float64 (29,) where float64 (30,) in one piece belongs",
        "signals.prior: (0.0, 1.0)",
    ):
        assert expected in str(caught.value)
    start = np.arange(21) * 100
    with pytest.raises(SnapshotError, match=r"signals.event_start: 100 events of one user; at most 80"):
        check(changed(good, "signals", event_start=start, event_video=np.zeros(2_000, np.int32)))


def test_a_catalogue_that_lost_more_than_half_is_refused_unless_forced() -> None:
    snapshot = random_snapshot(1, 1, 1, 1)
    now = replace(snapshot, manifest=counted(videos=49))
    with pytest.raises(SnapshotError, match=r"videos: 49 where the current snapshot has 100.*--force"):
        check(now, counted())
    check(now, counted(), force=True)
    check(replace(snapshot, manifest=counted(videos=50)), counted())
    check(now, counted(), shrink=0.6)


def test_small_numbers_may_shrink_but_not_vanish() -> None:
    snapshot = random_snapshot(1, 1, 1, 1)
    check(replace(snapshot, manifest=counted(flows=2)), counted(flows=9))
    with pytest.raises(SnapshotError, match="flows: 0"):
        check(replace(snapshot, manifest=counted(flows=0)), counted(flows=9))


def test_force_does_not_let_broken_arrays_pass() -> None:
    good = random_snapshot(30, 4, 20, 1)
    with pytest.raises(SnapshotError, match="not finite"):
        check(changed(good, "users", history_at=good.users.history_at + np.inf), force=True)
