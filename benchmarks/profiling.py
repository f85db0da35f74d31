"""Where the time of one feed goes, by module and by function."""

import cProfile
import pstats
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
_ROWS = 24


@dataclass(frozen=True, slots=True)
class Profile:
    """Microseconds of one feed, all under the profiler, which makes Python code slower than it is."""

    videos: int
    policy: str
    p50: float  # ms, without the profiler
    total: float
    modules: dict[str, float]
    functions: list[tuple[str, float, float, float]]  # name, calls, own with what it calls outside the project, all
    floor: float  # one pass over the columns that move with viewer and clock


def of(snapshot: Snapshot, policy: Policy, preset: Preset, requests: Sequence[Asked], p50: float) -> Profile:
    """Profile these feeds. A call that leaves the project (NumPy, builtins) counts as its caller's own."""
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
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    a_feed = 1e6 / len(requests)
    ours = {key for key in stats if key[0].startswith(_HOME)}
    own = {key: stats[key][3] for key in ours}
    for key in ours:
        for caller, edge in stats[key][4].items():
            if caller in ours and caller != key:
                own[caller] -= edge[3]
    modules: Counter[str] = Counter()
    for key in ours:
        modules[Path(key[0]).stem] += own[key] * a_feed
    functions = [
        (f"{Path(k[0]).stem}.{k[2]}", stats[k][1] / len(requests), own[k] * a_feed, stats[k][3] * a_feed) for k in ours
    ]
    return Profile(
        videos=len(snapshot.videos.id),
        policy=policy.version,
        p50=p50,
        total=sum(modules.values()),
        modules=dict(modules.most_common()),
        functions=sorted(functions, key=lambda row: -row[2])[:_ROWS],
        floor=_floor(len(snapshot.videos.id)),
    )


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
    modules = Table(title="by module", title_justify="left")
    for name in ("module", "µs", "share"):
        modules.add_column(name, justify="left" if name == "module" else "right")
    for module, spent in one.modules.items():
        modules.add_row(module, f"{spent:,.1f}", f"{spent / one.total:.0%}")
    console.print(modules)
    functions = Table(title="by function (own: with what it calls outside the project)", title_justify="left")
    for name in ("function", "calls", "own µs", "share", "all µs"):
        functions.add_column(name, justify="left" if name == "function" else "right")
    for function, calls, own, whole in one.functions:
        functions.add_row(function, f"{calls:,.1f}", f"{own:,.1f}", f"{own / one.total:.0%}", f"{whole:,.1f}")
    console.print(functions)
