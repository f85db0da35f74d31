"""The contest's table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.contest import Result

_AIMS = ((2_000, 0.5), (20_000, 1.0), (1_000_000, 5.0))  # up to so many videos: median in ms
_TAIL = 3  # the 99th percentile may be so many times the aim


def aim(n_videos: int) -> float | None:
    """The median wanted, in ms."""
    return next((ms for most, ms in _AIMS if n_videos <= most), None)


def show(console: Console, results: Sequence["Result"], n_feeds: int, gigabytes: float) -> None:
    """One row a size; how many times the kernel's median the others take; then why a figure is missing."""
    table = Table(title=f"One feed of 24 items, all stages, one core, ms ({n_feeds} feeds a size and policy)")
    for name in ("videos", "users", "p50", "aim", "p99", "aim", "policy", "other policy p50", "plain NumPy", "x"):
        table.add_column(name, justify="right")
    for name in ("MABWiser*", "x", "Vowpal Wabbit*", "x"):
        table.add_column(name, justify="right")
    for one in results:
        wanted = aim(one.videos)
        cells = [f"{one.videos:,}", f"{one.users:,}", _ms(one.p50), _aim(wanted), _ms(one.p99)]
        cells += [_aim(wanted and wanted * _TAIL), one.policy, f"{one.other_policy} {_ms(one.other_p50)}"]
        for value in (one.plain, one.rivals["mabwiser"], one.rivals["vw"]):
            cells += [_ms(value), "–" if value is None else f"{value / one.p50:,.1f}"]
        table.add_row(*cells)
    console.width = max(console.width, 140)
    console.print(table)
    console.print("x: times the kernel's median. * only scores every video for one pool and takes the 24 best.")
    for one in results:
        for name, reason in one.reasons.items():
            console.print(f"{one.videos:,} videos, {name}: not run, {reason}")
    console.print(f"Most memory: {gigabytes:.1f} GB")


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3f}" if value < 10 else f"{value:,.1f}"


def _aim(value: float | None) -> str:
    return "–" if value is None else f"≤ {value:g}"
