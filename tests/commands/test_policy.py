"""`talentfeed policy`, `learn` and `compare`, on a Redis of their own; through the server: tests/api/test_policy.py."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.contracts.backends import RedisServer
from tests.test_commands import Place
from typer.testing import CliRunner

from talentfeed.cli import app
from talentfeed.commands import policy
from talentfeed.errors import SettingsError


def last(result: Any) -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


NAMES = typer.main.get_command(policy.app).commands  # type: ignore[attr-defined]  # a group of commands


@pytest.mark.parametrize("command", [*(["policy", name] for name in NAMES), ["learn"], ["compare"]])
def test_each_explains_itself_with_an_example(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], env={"TERM": "dumb", "COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"talentfeed {' '.join(command)}" in result.output.split("Usage", 1)[1].split("\n", 1)[1]


def test_on_a_redis_of_its_own_no_server_is_asked(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    place = Place(tmp_path)
    place.environment |= {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port)}
    try:
        assert last(place.run("policy", "show"))["learned"] == "initial"
        file = tmp_path / "kept.json"
        assert last(place.run("policy", "export", str(file)))["version"] == "initial"
        made = last(place.run("policy", "import", str(file)))["version"]
        assert last(place.run("policy", "show"))["served"] == made
        wrong = place.run("policy", "rollback", "9-nothing")
        assert (wrong.returncode, wrong.stdout) == (1, "")
        assert "talentfeed policy show" in wrong.stderr
        nothing = place.run("compare", "--policy", "logged")
        assert nothing.returncode == 1
        assert "no feed of 0 can be judged on" in nothing.stderr
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("environment", "told"),
    [({}, "REDIS_HOST"), ({"REDIS_HOST": "127.0.0.1"}, "POLICY_MODE")],
)
def test_a_learner_that_could_learn_nothing_says_what_is_missing(
    environment: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["learn"], env={"LOG_FILE": "off", "POLICY_MODE": "", **environment})
    assert isinstance(result.exception, SettingsError)
    assert told in str(result.exception)
