"""Ranking and play on the real data: what learning is asked to reach."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.data, pytest.mark.timeout(1_800)]


def report(command: str, folder: str, *options: str, cwd: Path) -> Any:
    given = os.environ.get("DATA")
    if not given:
        pytest.fail("DATA is not set; run: make test-data DATA=folder")
    arguments = [sys.executable, "-m", "talentfeed", command, str(Path(given).resolve() / folder), *options]
    result = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, timeout=1_700, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_learned_retrieval_finds_what_is_liked_later(tmp_path: Path) -> None:
    policies = report("evaluate", "kuairand", "--pattern", "AU", cwd=tmp_path)["policies"]
    assert policies["learned"]["recall@24"] >= 0.235
    assert policies["learned"]["ndcg@24"] >= 0.100
    assert policies["popular"]["recall@24"] == pytest.approx(0.1156, abs=0.0005)


def test_a_newcomer_gets_what_is_worth_seeing_now(tmp_path: Path) -> None:
    found = report("evaluate", "kuairand", "--pattern", "AU", "--hide-history", cwd=tmp_path)
    assert found["policies"]["learned"]["recall@24"] >= 0.105


def test_learning_online_earns_more_than_popularity(tmp_path: Path) -> None:
    policies = report("simulate", "kuairec", cwd=tmp_path)["policies"]
    assert policies["popular"]["reward"] == pytest.approx(0.317, abs=0.006)
    assert policies["learned"]["reward"] >= 1.09 * policies["popular"]["reward"]
    assert policies["oracle"]["reward"] > policies["learned"]["reward"]
