"""Measures what the slate promises (SPEC 7) over the first feeds of many users, through the production kernel."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import (
    CREATOR_WINDOW,
    N_SKILLS,
    NEW_DAYS,
    NO_TOKEN,
    SECONDS_PER_DAY,
    FeedRequest,
    Ints,
    Kind,
    Pool,
    Slate,
    Snapshot,
)
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.feed import Ranker, rank
from talentfeed.ranking.rules import within_band

TOP = 100


@dataclass(frozen=True, slots=True)
class Target:
    """What SPEC 7 asks of the first feeds of 500 users at today's scale; shares in 0–1."""

    least: float | None = None
    most: float | None = None
    aim: float | None = None  # beyond what is asked


TARGETS: Mapping[str, Target] = {
    "creator_windows": Target(least=1.0),
    "skill_diversity": Target(least=0.60),
    "skill_diversity_min": Target(least=0.60),
    "new_content": Target(least=0.25, most=0.35),
    "new_content_in_band": Target(least=1.0),
    "catalogue_coverage": Target(least=0.25, aim=0.50),
    "top100_share": Target(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateQuality:
    """Shares are in 0–1."""

    feeds: int
    with_history: int  # of the users
    items: int
    creator_windows: float  # windows of 12 consecutive items with 12 creators
    skill_diversity: float  # distinct skills / skill mentions of a feed's videos: mean over feeds with skills
    skill_diversity_min: float
    new_content: float  # new videos / videos: mean over feeds
    new_content_in_band: float  # feeds with 25–35 %, to the nearest whole number
    catalogue_coverage: float  # distinct videos shown / videos
    top100_share: float  # of all places of videos, those of the 100 most shown
    gave_way: Mapping[str, int]  # feeds by rule
    pools: Mapping[str, float]  # share of the places by the pool they came from
    fallbacks: Mapping[str, int]  # places by "planned>came from", where these differ
    explored: float  # places drawn by the share epsilon
    feed_ms_p50: float  # viewer and kernel; no recording, no HTTP
    feed_ms_p99: float


def sample_users(snapshot: Snapshot, feeds: int, seed: int) -> Ints:
    """So many users without repetition, half of them with a history where there are enough; (feeds,) ids."""
    rng = np.random.default_rng(seed)
    has_history = np.diff(snapshot.users.history_start) > 0
    chosen = []
    for wanted, group in ((feeds // 2, has_history), (feeds - feeds // 2, ~has_history)):
        rows = np.flatnonzero(group)
        chosen.append(rng.choice(rows, min(wanted, len(rows)), replace=False))
    rows = np.concatenate(chosen)
    if len(rows) < feeds:  # one group is too small: fill up with the other
        rest = np.setdiff1d(np.arange(len(has_history)), rows)
        rows = np.concatenate([rows, rng.choice(rest, min(feeds - len(rows), len(rest)), replace=False)])
    ids: Ints = np.asarray(snapshot.users.id)[rng.permutation(rows)]
    return ids


def evaluate(
    ranker: Ranker,
    *,
    pattern: Sequence[Pool],
    now: float,
    feeds: int = 500,
    size: int = 24,
    seed: int = 0,
    progress: Callable[[str, float], None] = lambda _stage, _done: None,
) -> SlateQuality:
    """Rank the first `total` feed of a sample of users and measure it. The same seed gives the same feeds."""
    snapshot = ranker.snapshot
    users = sample_users(snapshot, feeds, seed)
    slates: list[Slate] = []
    seconds: list[float] = []
    for number, user_id in enumerate(users.tolist()):
        began = time.perf_counter()
        request = FeedRequest(
            endpoint="total",
            pattern=pattern,
            size=size,
            excluded_ids=np.zeros(0, np.int64),
            recent_creators=(),
            shown_flows=np.zeros(0, np.int32),
        )
        slates.append(rank(ranker, viewers.read(snapshot, user_id), request, now=now, seed=(seed << 64) + number + 1))
        seconds.append(time.perf_counter() - began)
        progress("feeds", (number + 1) / len(users))
    history = np.diff(snapshot.users.history_start)[np.searchsorted(snapshot.users.id, users)]
    return measure(snapshot, slates, np.asarray(seconds), now=now, with_history=int(np.count_nonzero(history)))


def measure(
    snapshot: Snapshot, slates: Sequence[Slate], seconds: np.ndarray, *, now: float, with_history: int
) -> SlateQuality:
    """Count over slates; `seconds` (slates,) is what each took."""
    shown: Counter[int] = Counter()
    gave_way: Counter[str] = Counter()
    pools: Counter[str] = Counter()
    fallbacks: Counter[str] = Counter()
    windows, good_windows, explored, in_band = 0, 0, 0, 0
    diversity: list[float] = []
    new_share: list[float] = []
    for slate in slates:
        gave_way.update(rule.value for rule in slate.gave_way)
        creators = [_creator(snapshot, slot.kind, slot.index) for slot in slate.slots]
        for start in range(len(creators) - CREATOR_WINDOW + 1):
            windows += 1
            good_windows += len(set(creators[start : start + CREATOR_WINDOW])) == CREATOR_WINDOW
        rows = [slot.index for slot in slate.slots if slot.kind is Kind.VIDEO]
        shown.update(rows)
        skills = snapshot.videos.tokens[rows, :N_SKILLS]
        skills = skills[skills != NO_TOKEN]
        if len(skills):
            diversity.append(len(set(skills.tolist())) / len(skills))
        if rows:
            new = int(np.count_nonzero(now - snapshot.videos.created_at[rows] < NEW_DAYS * SECONDS_PER_DAY))
            new_share.append(new / len(rows))
            in_band += within_band(len(rows), new)
        for slot in slate.slots:
            pools[slot.pool.value] += 1
            explored += slot.explored
            if slot.pool is not slot.planned:
                fallbacks[f"{slot.planned.value}>{slot.pool.value}"] += 1
    places, items = shown.total(), sum(len(slate.slots) for slate in slates)
    return SlateQuality(
        feeds=len(slates),
        with_history=with_history,
        items=items,
        creator_windows=good_windows / max(windows, 1),
        skill_diversity=float(np.mean(diversity)) if diversity else 0.0,
        skill_diversity_min=min(diversity, default=0.0),
        new_content=float(np.mean(new_share)) if new_share else 0.0,
        new_content_in_band=in_band / max(len(new_share), 1),
        catalogue_coverage=len(shown) / max(len(snapshot.videos.id), 1),
        top100_share=sum(count for _, count in shown.most_common(TOP)) / max(places, 1),
        gave_way=dict(gave_way),
        pools={pool: count / max(items, 1) for pool, count in sorted(pools.items())},
        fallbacks=dict(sorted(fallbacks.items())),
        explored=explored / max(items, 1),
        feed_ms_p50=float(np.percentile(seconds, 50) * 1e3) if len(seconds) else 0.0,
        feed_ms_p99=float(np.percentile(seconds, 99) * 1e3) if len(seconds) else 0.0,
    )


def _creator(snapshot: Snapshot, kind: Kind, row: int) -> int:
    catalogue = snapshot.videos if kind is Kind.VIDEO else snapshot.flows
    return int(catalogue.creator[row])
