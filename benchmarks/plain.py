"""The plain reference: a whole feed by straightforward NumPy over the full catalogue. SPEC 5 to 7.

Nothing is pruned and nothing is kept between requests: the 18 columns as one (n, 18) matrix, x @ theta, one einsum for
the width, and at every slot a mask over the whole catalogue for every rule. It shares with the kernel only the noise
and the table of weights, so that the same request must give the same slots.
"""

from itertools import cycle, islice

import numpy as np
from benchmarks.plain_slate import Filling, Shortlist, Side

from talentfeed.contracts import (
    N_KNOWLEDGES,
    N_LANGUAGES,
    N_SKILLS,
    N_TOOLS,
    NEW_DAYS,
    NO_DATE,
    NO_TOKEN,
    SECONDS_PER_DAY,
    BanditState,
    Bools,
    FeedRequest,
    Floats,
    Flows,
    Indices,
    Ints,
    Kind,
    Policy,
    Pool,
    Slot,
    Snapshot,
    Videos,
    Viewer,
)
from talentfeed.ranking import noise
from talentfeed.ranking.noise import Stream
from talentfeed.ranking.presets import KNOWN_REWARDS, PRIOR_VARIANCE, PoolWeights, Preset

_POINTS = np.repeat((0.15, 0.12, 0.10, 0.08), (N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES))
_VIDEO_POOLS = (Pool.POPULAR, Pool.AFFINITY, Pool.FRESH)
_KINDS = {"total": (Kind.VIDEO, Kind.FLOW), "discover": (Kind.VIDEO,), "flow": (Kind.FLOW,)}


def matrix(snapshot: Snapshot, viewer: Viewer, *, now: float, seed: int, preset: Preset) -> Floats:
    """The 18 features of every video for this viewer, (n, 18)."""
    videos = snapshot.videos
    x = np.array(videos.features)
    days = _days(videos.created_at, now)
    x[:, 1] = np.exp(-days / 28) * np.where(days <= 30, 1.5, 1.0)
    x[:, 5] = _similarity(snapshot, viewer)
    known = np.zeros(max(int(videos.tokens.max(initial=0)), int(viewer.tokens.max(initial=0))) + 1)
    known[viewer.tokens] = 1.0
    x[:, 6] = np.minimum(known[videos.tokens] @ _POINTS, 1.0)
    x[:, 7] = np.isin(videos.city, viewer.cities)
    x[:, 8] = np.isin(videos.creator, viewer.connections)
    x[:, 13] = viewer.influence
    x[:, 17] = preset.feature_noise * noise.uniforms(seed, Stream.FEATURE, noise.counters(videos.id))
    return x


def feed(
    snapshot: Snapshot, policy: Policy, preset: Preset, viewer: Viewer, request: FeedRequest, *, now: float, seed: int
) -> list[Slot]:
    """The slots of one page."""
    sides: dict[Kind, Side] = {}
    listings: dict[Kind, tuple[Videos | Flows, Indices]] = {
        Kind.VIDEO: (snapshot.videos, viewer.seen_videos),
        Kind.FLOW: (snapshot.flows, viewer.seen_flows),
    }
    for kind in _KINDS[request.endpoint]:
        listing, seen_rows = listings[kind]
        gone = np.isin(listing.id, request.excluded_ids)
        seen = np.zeros(len(gone), np.bool_)
        seen[seen_rows] = True
        seen &= ~gone
        oldest = seen_rows[::-1].astype(np.int64)
        sides[kind] = Side(listing.creator, gone, seen, oldest[seen[oldest]])
    new = _days(snapshot.videos.created_at, now) < NEW_DAYS
    lists = _shortlists(snapshot, policy, preset, viewer, request, sides=sides, new=new, now=now, seed=seed)
    numbers = noise.counters(np.arange(request.size))
    return Filling(
        sides=sides,
        lists=lists,
        new=new,
        skills=snapshot.videos.tokens[:, :N_SKILLS],
        n_skills=(snapshot.videos.tokens[:, :N_SKILLS] != NO_TOKEN).sum(axis=1),
        used=np.zeros(snapshot.skills.n + 1, np.bool_),
        pattern=list(islice(cycle(request.pattern), request.size)),
        window=[list(place) for place in request.recent_creators],
        epsilon=preset.epsilon,
        explore=noise.uniforms(seed, Stream.EXPLORE, numbers),
        draw=noise.uniforms(seed, Stream.DRAW, numbers),
    ).slots()


def _days(created_at: Floats, now: float) -> Floats:
    return np.where(created_at == NO_DATE, np.inf, np.maximum(now - created_at, 0.0) / SECONDS_PER_DAY)


def _similarity(snapshot: Snapshot, viewer: Viewer) -> Floats:
    skills = snapshot.videos.tokens[:, :N_SKILLS]
    if not viewer.has_skills:
        return np.full(len(skills), 0.5)
    weights = np.zeros(snapshot.skills.n + 1)
    weights[viewer.skills] = viewer.skill_weights
    toward = np.zeros(snapshot.skills.n + 1)
    toward[1:] = snapshot.skills.similarity @ weights[1:]
    length = np.sqrt(max(float(toward @ weights), 0.0))
    norms = snapshot.videos.skill_norm * length
    cosine = np.divide(toward[skills].sum(axis=1), norms, out=np.zeros(len(skills)), where=norms > 0)
    values = np.clip(0.6 * cosine + 0.4 * weights[skills].sum(axis=1), 0.0, 1.0)
    return np.where((skills > 0).any(axis=1), values, 0.3)


def _scores(x: Floats, state: BanditState, weights: PoolWeights, recency: Floats, new: Bools) -> Floats:
    """UCB and what the pool adds to it, (n,)."""
    inverse = np.linalg.inv(state.A)
    variance = PRIOR_VARIANCE
    if state.rewards >= KNOWN_REWARDS and state.error_n > 0:
        variance = max(state.error_sum2 / state.error_n - (state.error_sum / state.error_n) ** 2, 0.0)
    width = np.maximum(np.einsum("ij,ij->i", x @ inverse, x), 0.0)
    scores = x @ (inverse @ state.b) + weights.alpha * np.sqrt(width) + weights.beta * variance * width
    scores += weights.engagement * x[:, 0] + weights.quality * x[:, 2] + weights.popularity * x[:, 3]
    scores += weights.similarity * x[:, 5] + weights.match * x[:, 6]
    scores += weights.diversity * x[:, 4] + weights.rarity * x[:, 11]
    scores += weights.recency * recency + weights.new * new
    return np.asarray(scores)


def _best(scores: Floats, among: Bools, size: int) -> Ints:
    """The best rows, best first; of equal scores the lower row."""
    rows = np.flatnonzero(among)
    if len(rows) > size:
        bar = -np.partition(-scores[rows], size - 1)[size - 1]
        rows = rows[scores[rows] >= bar]
    return np.asarray(rows[np.argsort(-scores[rows], kind="stable")[:size]])


def _shortlists(
    snapshot: Snapshot,
    policy: Policy,
    preset: Preset,
    viewer: Viewer,
    request: FeedRequest,
    *,
    sides: dict[Kind, Side],
    new: Bools,
    now: float,
    seed: int,
) -> dict[Pool, Shortlist]:
    lists: dict[Pool, Shortlist] = {}
    if Kind.VIDEO in sides:
        kept = ~sides[Kind.VIDEO].gone & ~sides[Kind.VIDEO].seen
        x = matrix(snapshot, viewer, now=now, seed=seed, preset=preset)
        recency = np.exp(-_days(snapshot.videos.created_at, now) / 28)
        scores = {p: _scores(x, policy.bandits[p], preset.of(p), recency, new) for p in _VIDEO_POOLS}
        counters = noise.counters(snapshot.videos.id)
        scores[Pool.FRESH] += preset.fresh.noise * noise.uniforms(seed, Stream.FRESH, counters)
        rows = _best(scores[Pool.POPULAR], kept & (x[:, 12] > 0), preset.popular.shortlist)
        lists[Pool.POPULAR] = Shortlist(rows, np.maximum(scores[Pool.POPULAR][rows], 0.0))
        lists[Pool.AFFINITY] = Shortlist(_best(scores[Pool.AFFINITY], kept, preset.affinity.shortlist), None)
        rows = _best(scores[Pool.FRESH], kept & new, preset.fresh.shortlist)
        lists[Pool.FRESH] = Shortlist(rows, np.ones(len(rows)))
    if Kind.FLOW in sides:
        flows, kept = snapshot.flows, ~sides[Kind.FLOW].gone & ~sides[Kind.FLOW].seen
        score = preset.flow.noise * noise.uniforms(seed, Stream.FLOW, noise.counters(flows.id))
        score += preset.flow.recency * np.exp(-_days(flows.created_at, now) / 28)
        if request.endpoint == "flow":
            tier = (~np.isin(flows.creator, viewer.connections)).astype(np.int64)
            tier[request.shown_flows] += 2
            rows = np.lexsort((-score, tier))
            lists[Pool.FLOW] = Shortlist(rows[kept[rows]], None)
        else:
            lists[Pool.FLOW] = Shortlist(_best(score, kept, preset.flow.shortlist), None)
    return lists
