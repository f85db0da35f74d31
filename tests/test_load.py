"""The load test can fail: losses, doubles and growth are seen; and a short run on real servers passes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.load import compared, slope_of
from benchmarks.visitors import Account

ROOT = Path(__file__).parents[1]


def served(feed: str, count: int) -> list[dict[str, Any]]:
    return [{"source": "feed", "feed_id": feed}] * count


def reported(*ids: str) -> list[dict[str, Any]]:
    return [{"source": "client", "event_id": event} for event in ids]


@pytest.fixture
def account() -> Account:
    found = Account()
    found.served.update({"a" * 32: 25, "b" * 32: 11})
    found.acknowledged |= {"one", "two"}
    found.unsure.add("three")
    return found


def test_what_was_answered_and_stored_once_is_neither_lost_nor_doubled(account: Account) -> None:
    stored = [*served("a" * 32, 25), *served("b" * 32, 11), *reported("one", "two")]
    assert compared(account, stored) == (0, 0)
    assert compared(account, [*stored, *reported("three")]) == (0, 0)  # not acknowledged, so either is right
    assert compared(account, [*stored, *served("c" * 32, 25)]) == (0, 0)  # its answer never arrived


def test_what_is_missing_is_lost_and_what_is_there_twice_is_doubled(account: Account) -> None:
    stored = [*served("a" * 32, 20), *served("b" * 32, 12), *reported("one", "one", "three", "three")]
    assert compared(account, stored) == (5 + 1, 1 + 2)


def test_memory_that_grows_has_a_slope_and_what_fills_at_first_has_none() -> None:
    assert slope_of([(second, 100 + second / 6) for second in range(60)]) == pytest.approx(10)
    assert slope_of([(second, min(200, 100 + 10 * second)) for second in range(60)]) == pytest.approx(0)
    assert slope_of([]) == 0


@pytest.mark.timeout(900)
def test_a_few_seconds_of_load_lose_nothing_and_end_with_one_json_line() -> None:
    command = [sys.executable, "-m", "benchmarks.load", "--seconds", "4", "--scale", "0.01", "--reload-every", "99"]
    ran = subprocess.run(
        [*command, "--visitors", "4"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=800
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads(ran.stdout.splitlines()[-1])
    assert report["feeds"] > 0
    assert report["events"] > 0
    assert (report["errors"], report["lost"], report["doubled"]) == (0, 0, 0)
