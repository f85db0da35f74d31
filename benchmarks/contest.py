"""The kernel's contest: at each size the kernel, the plain reference and the rivals, in one run."""

import gc
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from benchmarks import catalogue, plain, profiling, rivals
from benchmarks.catalogue import Catalogue
from benchmarks.learned import learned_policy
from benchmarks.output import for_tables
from benchmarks.requests import SIZE, Asked, asked
from benchmarks.table import show

from talentfeed.console import Progress, emit, progress
from talentfeed.contracts import N_FEATURES, Floats, Policy, Slate, Slot
from talentfeed.ranking import feed, viewer
from talentfeed.ranking.presets import preset

CLASSIC = preset("classic")
UPDATES = 10_000
_VIEWERS = 1_000
_WARM_UP = 20
_ENOUGH_FEEDS, _ENOUGH_SECONDS = 100, 60.0  # a size ends early after both
_PLAIN_FEEDS, _PLAIN_SECONDS = 40, 30.0
_RIVAL_FEEDS, _LEAST_FEEDS, _RIVAL_SECONDS = 30, 3, 20.0
_COLLECT_EVERY = 50  # feeds: between measurements, never within one
_RIVALS: Mapping[str, Callable[[np.ndarray, int], rivals.Contestant]] = {
    "mabwiser": rivals.mabwiser,
    "vw": rivals.vowpal_wabbit,
}


@dataclass(kw_only=True)
class Result:
    """What was measured at one size; times in ms."""

    videos: int
    users: int
    p50: float  # preset classic under the policy it starts with, as the default mode `static` keeps it
    p99: float
    learned: str  # the policy that has learned, measured beside it
    learned_p50: float
    learned_p99: float
    feeds: int  # of each policy
    plain: float
    cpu_p50: float  # of processor time: what disturbs the machine is not in it
    cpu_p99: float
    rivals: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)  # why a rival has no figure

    def line(self) -> dict[str, float | int | None]:
        """This size in the JSON line."""
        learned = {"learned_p50_ms": self.learned_p50, "learned_p99_ms": self.learned_p99}
        times = {"p50_ms": self.p50, "p99_ms": self.p99, **learned, "numpy_ms": self.plain}
        times_of_rivals = {f"{name}_ms": ms for name, ms in self.rivals.items()}
        rounded = {key: None if ms is None else round(ms, 4) for key, ms in (times | times_of_rivals).items()}
        return {"videos": self.videos, "users": self.users, **rounded}


@dataclass
class _RivalCost:
    """What a rival cost over so many videos, in seconds: a larger catalogue is expected to cost it in proportion."""

    videos: int
    setup: float
    feed: float


def run(sizes: Sequence[int], *, n_feeds: int, seed: int, profile: bool) -> None:
    """Measure every size, smallest first; table and profile, then the JSON line, on stdout."""
    results: list[Result] = []
    profiles: list[profiling.Profile] = []
    costs: dict[str, _RivalCost] = {}
    with progress() as told:
        told("learning", 0.0)
        school = catalogue.make(min(sizes[0], catalogue.TODAY_VIDEOS), _VIEWERS, seed)
        policies = {"initial": feed.initial_policy(), "learned": learned_policy(school, UPDATES, seed)}
        for name, ready in _RIVALS.items():
            ready(np.random.default_rng(seed).random((SIZE, N_FEATURES)), seed)  # their imports are no part of a set-up
            if sizes[0] > catalogue.TODAY_VIDEOS:  # without a size before, nothing would say what a rival will cost
                costs[name] = _timed(name, school.snapshot.videos.features, seed)
        del school
        told("learning", 1.0)
        for n_videos in sizes:
            told(f"{n_videos:,} videos", 0.0)
            made = catalogue.make(n_videos, _VIEWERS, seed)
            result = _measure(made, policies, n_feeds, seed, told)
            for name in _RIVALS:
                _rival(name, made, seed, result, costs)
            results.append(result)
            if profile:
                requests = list(asked(made, min(n_feeds, 100), seed + 1))
                profiles.append(profiling.of(made.snapshot, policies["initial"], CLASSIC, requests, p50=result.p50))
            told(f"{n_videos:,} videos", 1.0)
            del made
            gc.collect()
    console = for_tables()
    show(console, results, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
    for one in profiles:
        profiling.show(console, one)
    emit({"sizes": [result.line() for result in results]})


def _measure(made: Catalogue, policies: Mapping[str, Policy], n_feeds: int, seed: int, told: Progress) -> Result:
    """Kernel and reference by turns, so that what disturbs the machine disturbs both."""
    snapshot = made.snapshot
    rankers = {name: feed.prepare(snapshot, policy, CLASSIC) for name, policy in policies.items()}

    def kernel(name: str, one: Asked) -> Slate:
        return feed.rank(rankers[name], viewer.read(snapshot, one.user_id), one.request, now=one.now, seed=one.seed)

    def reference(name: str, one: Asked) -> list[Slot]:
        who = viewer.read(snapshot, one.user_id)
        return plain.feed(snapshot, policies[name], CLASSIC, who, one.request, now=one.now, seed=one.seed)

    for one in asked(made, _WARM_UP, seed + 1):
        for name in policies:
            kernel(name, one)
    reference("initial", one)
    taken: dict[str, list[float]] = {name: [] for name in policies}
    busy: dict[str, list[float]] = {name: [] for name in policies}
    plainly: list[float] = []
    names = list(policies)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for number, one in enumerate(asked(made, n_feeds, seed)):
            names.reverse()
            for name in names:
                start_busy, start = time.thread_time(), time.perf_counter()
                slate = kernel(name, one)
                taken[name].append(time.perf_counter() - start)
                busy[name].append(time.thread_time() - start_busy)
            if number * _PLAIN_FEEDS // n_feeds >= len(plainly) and sum(plainly) < _PLAIN_SECONDS:
                start = time.perf_counter()
                slots = reference(name, one)
                plainly.append(time.perf_counter() - start)
                _must_agree(slate.slots, slots)
                kernel(names[-1], one)  # the reference has emptied the processor's caches: not the kernel's fault
            if number >= _ENOUGH_FEEDS - 1 and sum(map(sum, taken.values())) > _ENOUGH_SECONDS:
                break
            if number % _COLLECT_EVERY == 0:
                gc.collect()
                told(f"{len(snapshot.videos.id):,} videos", 0.9 * number / n_feeds)
    finally:
        gc.enable()
        gc.unfreeze()
    return Result(
        videos=len(snapshot.videos.id),
        users=len(snapshot.users.id),
        p50=float(np.median(taken["initial"])) * 1e3,
        p99=float(np.percentile(taken["initial"], 99)) * 1e3,
        learned=policies["learned"].version,
        learned_p50=float(np.median(taken["learned"])) * 1e3,
        learned_p99=float(np.percentile(taken["learned"], 99)) * 1e3,
        feeds=len(taken["initial"]),
        plain=float(np.median(plainly)) * 1e3,
        cpu_p50=float(np.median(busy["initial"])) * 1e3,
        cpu_p99=float(np.percentile(busy["initial"], 99)) * 1e3,
    )


def _must_agree(found: Sequence[Slot], expected: Sequence[Slot]) -> None:
    if [(slot.kind, slot.index) for slot in found] != [(slot.kind, slot.index) for slot in expected]:
        raise RuntimeError("the kernel and the plain reference chose different items: their times compare nothing")


def _rival(name: str, made: Catalogue, seed: int, result: Result, costs: dict[str, _RivalCost]) -> None:
    """A rival's median, or none and the reason where it would take longer than its allowance."""
    items = made.snapshot.videos.features
    before = costs.get(name)
    if before is not None:
        times = len(items) / before.videos
        expected = (before.setup + _LEAST_FEEDS * before.feed) * times
        if expected > _RIVAL_SECONDS:
            result.rivals[name] = None
            result.reasons[name] = (
                f"about {expected:.0f} s for set-up and {_LEAST_FEEDS} feeds, by what {before.videos:,} videos took "
                f"({before.setup:.1f} s and {before.feed * 1e3:.0f} ms); allowed {_RIVAL_SECONDS:.0f} s"
            )
            return
    costs[name] = _timed(name, items, seed)
    result.rivals[name] = costs[name].feed * 1e3


def _timed(name: str, items: Floats, seed: int) -> _RivalCost:
    """What a rival takes over these items, (n, 18): to set up, and the median of its feeds."""
    start = time.perf_counter()
    best = _RIVALS[name](items, seed)
    ready = time.perf_counter()
    viewers = np.random.default_rng([seed, 5]).random((_RIVAL_FEEDS, items.shape[1]))
    best(viewers[0])
    taken: list[float] = []
    for who in viewers:
        began = time.perf_counter()
        best(who)
        taken.append(time.perf_counter() - began)
        if time.perf_counter() - start > _RIVAL_SECONDS and len(taken) >= _LEAST_FEEDS:
            break
    return _RivalCost(len(items), ready - start, float(np.median(taken)))
