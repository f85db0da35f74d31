"""What the README promises exists: its commands, targets, links and settings."""

import re
from pathlib import Path

import pytest
import typer.main

from talentfeed.cli import app
from talentfeed.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"```.*?```", README, flags=re.DOTALL)) + " ".join(re.findall(r"`[^`\n]+`", README))
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group of commands


def test_the_list_of_commands_is_complete() -> None:
    listed = re.search(r"`talentfeed --help`: (.*?);", README, flags=re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"`([a-z]+)`", listed[1])) == COMMANDS - {"version"}


def test_every_command_named_exists() -> None:
    assert set(re.findall(r"(?:bin/|`)talentfeed ([a-z]+)", CODE)) <= COMMANDS


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", CODE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).is_file()


def test_every_setting_named_exists() -> None:
    named = set(re.findall(r"^([A-Z][A-Z_]+)=", README, flags=re.MULTILINE))
    assert named
    assert named <= {name.upper() for name in Settings.model_fields}


def test_every_page_of_the_docs_is_linked() -> None:
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= set(re.findall(r"\(([^)]+)\)", README))
