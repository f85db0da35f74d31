"""What the commands show a person: progress, tables, a greeting; and the JSON line for a program."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from talentfeed.settings import Settings

Progress = Callable[[str, float], None]


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def emit(report: dict[str, Any]) -> None:
    """The command's JSON line: on stdout, raw, last."""
    sys.stdout.write(json.dumps(report, separators=(",", ":"), ensure_ascii=False) + "\n")


def ago(moment: float) -> str:
    """How long ago, for a person."""
    minutes = (time.time() - moment) / 60
    if minutes < 120:
        return f"{minutes:.0f} minutes ago"
    return f"{minutes / 60:.0f} hours ago" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days ago"


def _silent(_stage: str, _done: float) -> None:
    """Elsewhere than in a terminal, the log lines tell."""


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A progress bar a stage, on stderr, and only in a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _silent
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=done)

        yield show


def show_build(report: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Snapshot {report.manifest.version}", title_justify="left")
    table.add_column("built")
    table.add_column("rows", justify="right")
    table.add_column("left out or mended")
    table.add_column("values", justify="right")
    counts, skipped = list(report.manifest.counts.items()), sorted(report.manifest.skipped.items())
    for row in range(max(len(counts), len(skipped))):
        built = counts[row] if row < len(counts) else ("", "")
        dirt = skipped[row] if row < len(skipped) else ("", "")
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in (*built, *dirt)))
    Console(stderr=True).print(table)


def show_quality(quality: Any, targets: Mapping[str, Any], *, preset: str) -> None:
    """The measured slates beside their targets (`evaluation.slates.Target` by measure), on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{quality.feeds} first feeds, preset {preset}", title_justify="left")
    for name in ("measure", "target", "measured", ""):
        table.add_column(name, justify="left" if name == "measure" else "right")
    for name, target in targets.items():
        value = getattr(quality, name)
        held = (target.least is None or value >= target.least) and (target.most is None or value <= target.most)
        bound = "" if target.least is None else f"≥ {100 * target.least:.0f} %"
        if target.most is not None:
            bound = f"{100 * target.least:.0f}–{100 * target.most:.0f} %"
        if target.aim is not None:
            bound += f", aim {100 * target.aim:.0f} %"
        sign = "" if not bound else "✓" if held else "✗"
        table.add_row(name.replace("_", " "), bound, f"{100 * value:.1f} %", sign)
    for pool, share in quality.pools.items():
        table.add_row(f"places from {pool}", "", f"{100 * share:.1f} %", "")
    for change, count in quality.fallbacks.items():
        table.add_row(f"places that fell through {change}", "", f"{count:,}", "")
    for rule, count in quality.gave_way.items():
        table.add_row(f"feeds where {rule} gave way", "", f"{count:,}", "")
    table.add_row("places explored", "", f"{100 * quality.explored:.1f} %", "")
    table.add_row("a feed, median / p99", "", f"{quality.feed_ms_p50:.2f} / {quality.feed_ms_p99:.2f} ms", "")
    Console().print(table)


def show_replay(report: Mapping[str, Any]) -> None:
    """A replayed feed, on stdout."""
    from rich.console import Console
    from rich.table import Table

    console, table = Console(), Table()
    result = "identical" if report["identical"] else "NOT what was served"
    console.print(f"Feed {report['feed_id']}: {result}", soft_wrap=True)
    console.print(f"snapshot {report['snapshot']}, policy {report['policy']}", soft_wrap=True)
    for name in ("place", "item", "pool", "probability"):
        table.add_column(name, justify="right" if name in ("place", "probability") else "left")
    for slot in report["slots"]:
        table.add_row(str(slot["place"]), f"{slot['type']} {slot['id']}", slot["pool"], f"{slot['probability']:.6f}")
    console.print(table)


def show_findings(findings: Sequence[Any]) -> None:
    """One line each, on stdout."""
    sign = {"ok": "✓", "warning": "!", "wrong": "✗"}
    for finding in findings:
        sys.stdout.write(f"{sign[finding.state]} {finding.check}: {finding.text}\n")


def admin_key_file(settings: Settings) -> Path:
    """Where the demo keeps the admin key that it made."""
    return settings.data_dir / "admin.key"


def greet(settings: Settings) -> None:
    url = f"http://{settings.api_host}:{settings.api_port}"
    search = f"{url}{settings.api_prefix}/search"
    say(f"""
  The feed is served at {url}   (API guide: {url}/docs, metrics: {url}/metrics; stop with Ctrl-C)

  A feed of 24 items for user 42:
    curl -s {search}/total -H 'Content-Type: application/json' -d '{{"user_id": 42}}'
  Videos only, flows only:
    curl -s {search}/discover -d '{{"user_id": 42, "size": 10}}'
    curl -s {search}/flow -d '{{"user_id": 42, "size": 10}}'
  Tell it what user 42 likes (take an id from the feed), and ask again: the next feed knows it
    curl -s {url}{settings.api_prefix}/activities -d '{{"event_type": "like", "user_id": 42, "video_id": ID}}'
  Build and swap without a request waiting (the admin key is in {admin_key_file(settings)}):
    curl -s -X POST {search}/reload -H "X-Admin-Key: $(cat {admin_key_file(settings)})"
""")
