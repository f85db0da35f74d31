"""The benchmarks: the kernel's plain reference serves what the kernel serves, and each prints what it promises."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import catalogue, plain, presets
from benchmarks.learned import learned_policy
from benchmarks.requests import asked

from talentfeed.contracts import Policy, Slot
from talentfeed.ranking import feed, viewer
from talentfeed.ranking.presets import preset

CLASSIC = preset("classic")
ROOT = Path(__file__).parents[1]
KEYS = ["videos", "users", "p50_ms", "p99_ms", "learned_p50_ms", "learned_p99_ms", "numpy_ms", "mabwiser_ms", "vw_ms"]


@pytest.fixture(scope="module")
def learned() -> Policy:
    return learned_policy(catalogue.make(300, 40, seed=3), 400, seed=3)


def assert_same(expected: list[Slot], found: list[Slot]) -> None:
    def choice(slot: Slot) -> tuple[object, ...]:
        return slot.kind, slot.index, slot.pool, slot.planned, slot.explored, slot.gave_way

    assert [choice(slot) for slot in found] == [choice(slot) for slot in expected]
    np.testing.assert_allclose([slot.probability for slot in found], [slot.probability for slot in expected], rtol=1e-9)


@pytest.mark.parametrize("endpoint", ["total", "discover", "flow"])
@pytest.mark.parametrize("n_videos", [3, 12, 40, 150, 700])
def test_plain_reference_serves_what_the_kernel_serves(n_videos: int, endpoint: str, learned: Policy) -> None:
    made = catalogue.make(n_videos, 15, seed=n_videos)
    gave_way = 0
    for policy in (feed.initial_policy(), learned):
        ranker = feed.prepare(made.snapshot, policy, CLASSIC)
        for one in asked(made, 20, seed=5, endpoint=endpoint):
            who = viewer.read(made.snapshot, one.user_id)
            slate = feed.rank(ranker, who, one.request, now=one.now, seed=one.seed)
            slots = plain.feed(made.snapshot, policy, CLASSIC, who, one.request, now=one.now, seed=one.seed)
            assert_same(list(slate.slots), slots)
            gave_way += len(slate.gave_way)
    assert gave_way or n_videos > 12 or endpoint == "flow", "no rule gave way: that was not compared"


def test_learned_policy_has_learned_as_often_as_asked_and_scores_otherwise(learned: Policy) -> None:
    assert sum(bandit.rewards for bandit in learned.bandits.values()) == 400
    assert all(np.abs(bandit.b).max() > 0 for bandit in learned.bandits.values())


def test_made_up_viewers_have_a_history_connections_and_a_profile() -> None:
    made = catalogue.make(400, 30, seed=1)
    users = made.snapshot.users
    rows = made.viewers - 1
    history = np.diff(users.history_start)[rows]
    assert history.min() >= 30
    assert history.max() <= 80
    assert np.diff(users.connection_start)[rows].min() >= 1
    assert np.diff(users.profile_start)[rows].min() >= 1


def test_same_seed_makes_the_same_catalogue() -> None:
    one, other = (catalogue.make(200, 10, seed=4).snapshot for _ in range(2))
    np.testing.assert_array_equal(one.videos.features, other.videos.features)
    np.testing.assert_array_equal(one.users.history_video, other.users.history_video)


def test_a_run_prints_a_table_and_last_a_json_line_of_positive_figures() -> None:
    command = [sys.executable, "-m", "benchmarks.kernel", "--sizes", "300,600", "--feeds", "12", "--profile"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == "", "progress is for terminals"
    assert "plain NumPy" in ran.stdout
    assert "by stage" in ran.stdout
    sizes = json.loads(ran.stdout.splitlines()[-1])["sizes"]
    assert [size["videos"] for size in sizes] == [300, 600]
    for size in sizes:
        assert list(size) == KEYS
        assert all(size[key] > 0 for key in KEYS)
        assert size["p50_ms"] <= size["p99_ms"]


def test_builds_from_mariadb_are_measured_and_unchanged_input_gives_the_same_snapshot() -> None:
    command = [sys.executable, "-m", "benchmarks.build", "--scales", "0.005,0.01", "--runs", "1"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 0, ran.stderr
    assert "talentfeed build" in ran.stdout
    figures = json.loads(ran.stdout.splitlines()[-1])
    parts = ("build_{}x_s", "build_{}x_cpu_s", "peak_gb_{}x", "first_build_{}x_s")
    assert list(figures) == [part.format(scale) for scale in ("0.005", "0.01") for part in parts]
    assert all(figure > 0 for figure in figures.values())


def test_sizes_that_are_no_numbers_are_refused_in_a_sentence() -> None:
    command = [sys.executable, "-m", "benchmarks.kernel", "--sizes", "12,none"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 2
    assert "--sizes" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_flush_benchmark_stores_each_activity_once_and_prints_a_table_and_a_json_line() -> None:
    command = [sys.executable, "-m", "benchmarks.flush", "--activities", "2000", "--feeds", "320", "--seconds", "2"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 0, ran.stderr
    assert "sustained by one flusher for 2 s" in ran.stdout
    line = json.loads(ran.stdout.splitlines()[-1])
    names = ["activities_per_s", "row_by_row_per_s", "ratio", "recording_us_per_feed", "sustained_per_s"]
    assert list(line) == names
    assert all(line[name] > 0 for name in names if name != "recording_us_per_feed"), line


def test_the_presets_are_measured_beside_each_other() -> None:
    found = presets.measure(300, 5, updates=60)
    assert list(found)[:3] == ["videos", "feeds", "events"]
    assert min(value for name, value in found.items() if name.endswith("_ms")) > 0
    assert found["of_classic"] == pytest.approx(found["learned_ms"] / found["classic_ms"], rel=0.01)
