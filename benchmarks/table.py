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


def show(console: Console, results: Sequence["Result"], gigabytes: float) -> None:
    """One row a size, with how many times the kernel's median the others take; then what the figures leave out."""
    table = Table(title="One feed of 24 items, all stages, one core, ms")
    for name in (
        "videos",
        "users",
        "p50 (aim)",
        "p99 (aim)",
        "learned p50, p99",
        "plain NumPy",
        "MABWiser*",
        "Vowpal Wabbit*",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for one in results:
        wanted = aim(one.videos)
        others = (one.plain, one.rivals["mabwiser"], one.rivals["vw"])
        table.add_row(
            f"{one.videos:,}",
            f"{one.users:,}",
            _aimed(one.p50, wanted),
            _aimed(one.p99, None if wanted is None else wanted * _TAIL),
            f"{_ms(one.learned_p50)}  {_ms(one.learned_p99)}",
            *("–" if ms is None else f"{_ms(ms)}  {ms / one.p50:,.1f}x" for ms in others),
        )
    console.print(table)
    console.print("x: times the kernel's median.  *: only scores every video for one pool and takes the 24 best.")
    for one in results:
        console.print(
            f"{one.videos:,} videos: {one.feeds:,} feeds a policy, the initial one and {one.learned}. "
            f"Of processor time p50 {_ms(one.cpu_p50)}, p99 {_ms(one.cpu_p99)}."
        )
        for name, reason in one.reasons.items():
            console.print(f"  {name} not run: {reason}")
    console.print(f"Most memory: {gigabytes:.1f} GB")


def _ms(value: float) -> str:
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}"


def _aimed(value: float, wanted: float | None) -> str:
    return _ms(value) if wanted is None else f"{_ms(value)} ({wanted:g})"
