"""The page on exactly-once names what the code has."""

import inspect
import re
from pathlib import Path

from talentfeed.activity import keys
from talentfeed.activity.pruning import EVENTS_KEPT, PAGES
from talentfeed.activity.recorder import EVENT_SECONDS
from talentfeed.settings import Settings
from talentfeed.stores.ledger import ABANDONED, FLOOR, ledger
from talentfeed.stores.ledger import PAGE as PAGE_ROWS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/exactly-once.md").read_text(encoding="utf-8")


def test_every_key_is_in_the_table_of_keys() -> None:
    patterns = re.findall(r"f\"([a-z_]+:\{[^\"]+)\"", inspect.getsource(keys))
    assert len(patterns) == 11
    for pattern in [*patterns, keys.WAITING, keys.FULL, keys.FLUSHING, keys.QUARANTINED]:
        assert f"`{pattern}`" in PAGE, pattern


def test_the_ledger_is_described_as_it_is() -> None:
    assert f"`{ledger.name}`" in PAGE
    for column in ledger.columns:
        assert f"`{column.name}`" in PAGE
    assert f"`rows` = −{-ABANDONED}" in PAGE
    assert f"The row `{FLOOR}`" in PAGE


def test_what_the_ledger_keeps_is_told_as_it_is() -> None:
    for number in (PAGE_ROWS, PAGES * PAGE_ROWS, EVENTS_KEPT):
        assert f"{number:,}" in PAGE
    assert f"go after {EVENT_SECONDS // 3600} hours" in PAGE
    assert f"`{'ledger_prune_seconds'.upper()}`" in PAGE
    assert "ledger_prune_seconds" in Settings.model_fields


def test_the_files_that_the_page_names_are_there() -> None:
    named = re.findall(r"`((?:activity|stores|tests)/[\w/]+\.py)`", PAGE)
    assert len(named) >= 6
    for name in named:
        assert (ROOT / ("." if name.startswith("tests") else "src/talentfeed") / name).is_file(), name
