"""The compose file: settings that exist, stores that keep what they acknowledge, and an order that waits for health."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from talentfeed.cli import app
from talentfeed.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy/compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


@pytest.mark.parametrize("name", OURS)
def test_our_services_have_settings_that_exist_and_no_secret_in_the_file(name: str) -> None:
    given: dict[str, str] = SERVICES[name]["environment"]
    fields = Settings.model_fields
    assert {key.lower() for key in given} <= fields.keys()
    secrets = {key: value for key, value in given.items() if "SecretStr" in str(fields[key.lower()].annotation)}
    assert secrets
    assert all(re.fullmatch(r"\$\{" + key + r":\?[^}]+\}", value) for key, value in secrets.items())


@pytest.mark.parametrize("name", OURS)
def test_our_services_can_write_nowhere_but_in_volumes_and_can_gain_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - the container's own


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_built_from_stages_that_exist_and_run_commands_that_exist(name: str) -> None:
    build = SERVICES[name]["build"]
    assert (ROOT / "deploy" / build["context"] / build["dockerfile"]).samefile(ROOT / "deploy/Dockerfile")
    assert f" AS {build['target']}\n" in (ROOT / "deploy/Dockerfile").read_text()
    command = SERVICES[name].get("command", ["build"])
    context = get_command(app).commands[command[0]]  # type: ignore[attr-defined]  # a group of commands
    options = {option for parameter in context.params for option in parameter.opts}
    assert {word for word in command if word.startswith("--")} <= options


def test_every_service_waits_for_the_health_or_the_end_of_those_it_needs() -> None:
    waits = {
        (name, needed): rule["condition"]
        for name, service in SERVICES.items()
        for needed, rule in service.get("depends_on", {}).items()
    }
    assert waits == {
        ("ledger", "mariadb"): "service_healthy",
        ("builder", "ledger"): "service_completed_successfully",
        ("feed", "redis"): "service_healthy",
        ("feed", "builder"): "service_completed_successfully",
    }
    for (_, needed), condition in waits.items():
        service = SERVICES[needed]
        assert "healthcheck" in service if condition == "service_healthy" else service["restart"] == "no"


def test_every_volume_that_is_named_is_declared_and_the_reverse() -> None:
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]]
    assert {name for name in mounted if not name.startswith("$")} == COMPOSE["volumes"].keys()


def test_redis_keeps_what_it_acknowledged() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    for needed in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"):
        assert needed in command


def test_a_stop_has_more_time_than_the_service_takes() -> None:
    from talentfeed.supervisor import PATIENCE

    assert int(SERVICES["feed"]["stop_grace_period"].removesuffix("s")) > PATIENCE
