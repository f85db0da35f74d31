"""What the pages for operators say of secrets, calls, settings and metrics is what there is."""

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from tests.api.conftest import local_service, small_catalogue

from talentfeed.api.app import create_app
from talentfeed.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ["security.md", "migrating.md", "capacity.md", "runbook.md", "metrics.md", "deploying.md", "operating.md"]
NOT_OURS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "PLATFORM_DUMP"}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_threat_model_has_every_secret() -> None:
    secrets = {
        name.upper()
        for name, field in Settings.model_fields.items()
        if field.annotation is SecretStr or SecretStr in get_args(field.annotation)
    }
    table = page("security.md").split("## What each secret opens")[1].split("\n## ")[0]
    assert secrets <= set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert len(secrets) == 4


def test_the_threat_model_has_every_call(tmp_path: Path) -> None:
    with TestClient(create_app(local_service(tmp_path / "s", small_catalogue()))) as client:
        paths = client.get("/openapi.json").json()["paths"]
    table = page("security.md").split("## Who may call what")[1].split("\n## ")[0]
    for path, methods in paths.items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in table or path.startswith("/api/admin/"), path


@pytest.mark.parametrize("name", PAGES)
def test_settings_metrics_and_pages_that_are_named_exist(name: str) -> None:
    text = page(name)
    known = {setting.upper() for setting in Settings.model_fields}
    prefixes = ("MYSQL_", "REDIS_", "SSH_", "API_", "FLUSH_", "SESSION_", "RELOAD_", "SNAPSHOT_", "RATE_", "LOG_")
    named = {word for word in re.findall(r"`([A-Z][A-Z_]+[A-Z])(?:=[^`]*)?`", text) if word.startswith(prefixes)}
    assert named - NOT_OURS <= known
    metrics = set(re.findall(r"talentfeed_\w+", page("metrics.md")))
    told = {metric for metric in re.findall(r"`(talentfeed_\w+)", text) if metric != "talentfeed_ledger"}
    assert {re.sub(r"_(count|sum|bucket)$", "", metric) for metric in told} <= metrics
    for link in re.findall(r"\]\(([\w./-]+\.(?:md|yaml))(?:#\w+)?\)", text):
        assert (DOCS / link).is_file(), link


@pytest.mark.parametrize("name", sorted(path.name for path in DOCS.glob("*.md")))
def test_every_page_is_reached_from_the_readme(name: str) -> None:
    assert f"(docs/{name})" in (DOCS.parent / "README.md").read_text(encoding="utf-8")
