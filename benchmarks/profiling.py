"""Where the time of one feed goes: by stage, as a tree of calls, and by function."""

import cProfile
import pstats
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.requests import Asked
from rich.console import Console
from rich.table import Table

import talentfeed
from talentfeed.contracts import N_FEATURES, Policy, Snapshot
from talentfeed.ranking import feed, viewer
from talentfeed.ranking.presets import Preset

_HOME = str(Path(talentfeed.__file__).parent)
_MOVING = 7  # columns that depend on the viewer or the clock
_DEPTH, _SMALLEST_SHARE, _FUNCTIONS = 3, 0.01, 20
_Function = tuple[str, int, str]  # file, line, name


@dataclass(frozen=True, slots=True)
class Line:
    """Of one function: calls and microseconds a feed."""

    name: str
    depth: int
    calls: float
    own: float  # with what it calls outside the project: NumPy, builtins
    whole: float


@dataclass(frozen=True, slots=True)
class Profile:
    """One feed under the profiler, which makes calls of Python slower than they are."""

    videos: int
    policy: str
    p50: float  # ms, without the profiler
    total: float  # microseconds
    stages: list[Line]
    functions: list[Line]
    floor: float  # microseconds of one pass over the columns that move with viewer and clock


def of(snapshot: Snapshot, policy: Policy, preset: Preset, requests: Sequence[Asked], *, p50: float) -> Profile:
    """Profile these feeds."""
    ranker = feed.prepare(snapshot, policy, preset)

    def make(one: Asked) -> None:
        feed.rank(ranker, viewer.read(snapshot, one.user_id), one.request, now=one.now, seed=one.seed)

    for one in requests[:10]:
        make(one)
    profiler = cProfile.Profile()
    for one in requests:
        profiler.enable()
        make(one)
        profiler.disable()
    stats: dict[_Function, Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    calls = _Calls({key: value for key, value in stats.items() if key[0].startswith(_HOME)}, len(requests))
    roots = [key for key in calls.stats if (Path(key[0]).stem, key[2]) in {("viewer", "read"), ("feed", "rank")}]
    functions = [calls.line(key, 0) for key in calls.stats]
    return Profile(
        videos=len(snapshot.videos.id),
        policy=policy.version,
        p50=p50,
        total=sum(calls.line(root, 0).whole for root in roots),
        stages=[line for root in roots for line in calls.tree(root)],
        functions=sorted(functions, key=lambda line: -line.own)[:_FUNCTIONS],
        floor=_floor(len(snapshot.videos.id)),
    )


class _Calls:
    """The profiler's figures of the project's functions."""

    def __init__(self, stats: dict[_Function, Any], feeds: int) -> None:
        self.stats = stats
        self._feeds = feeds
        self._below: dict[_Function, dict[_Function, Any]] = {key: {} for key in stats}
        for key, (*_, callers) in stats.items():
            for caller, edge in callers.items():
                if caller in stats and caller != key:
                    self._below[caller][key] = edge

    def line(self, key: _Function, depth: int, edge: Any = None) -> Line:
        """A function's figures; with an edge only those of the calls from there, but for its own time."""
        _, calls, _, whole = (edge or self.stats[key])[:4]
        own = self.stats[key][3] - sum(below[3] for below in self._below[key].values())
        scale = 1e6 / self._feeds
        return Line(f"{Path(key[0]).stem}.{key[2]}", depth, calls / self._feeds, own * scale, whole * scale)

    def tree(self, key: _Function, depth: int = 0, edge: Any = None) -> Iterator[Line]:
        """The function and what it calls, the most expensive first."""
        yield self.line(key, depth, edge)
        if depth < _DEPTH:
            for below, its_edge in sorted(self._below[key].items(), key=lambda item: -item[1][3]):
                yield from self.tree(below, depth + 1, its_edge)


def _floor(n: int) -> float:
    """Microseconds to read the moving columns of every video once, in one product with a vector."""
    columns, theta = np.random.default_rng(0).random((_MOVING, n)), np.ones(_MOVING)
    taken = []
    for _ in range(20):
        start = time.perf_counter()
        theta @ columns
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)) * 1e6


def show(console: Console, one: Profile) -> None:
    """Two tables."""
    console.print(
        f"\n[bold]{one.videos:,} videos[/bold], policy {one.policy}: {one.total:,.0f} µs a feed under the profiler, "
        f"{one.p50 * 1e3:,.0f} µs without it. One pass over the {_MOVING} of {N_FEATURES} columns that move: "
        f"{one.floor:,.1f} µs."
    )
    stages = Table(title="by stage", title_justify="left")
    functions = Table(title="by function (own: with what it calls outside the project)", title_justify="left")
    for table in (stages, functions):
        table.add_column("function")
        for name in ("calls", "µs" if table is stages else "own µs", "share"):
            table.add_column(name, justify="right")
    for line in one.stages:
        if line.whole >= _SMALLEST_SHARE * one.total:
            _row(stages, line, line.whole, one.total)
    for line in one.functions:
        _row(functions, line, line.own, one.total)
    console.print(stages)
    console.print(functions)


def _row(table: Table, line: Line, spent: float, total: float) -> None:
    table.add_row("  " * line.depth + line.name, f"{line.calls:,.1f}", f"{spent:,.1f}", f"{spent / total:.0%}")
