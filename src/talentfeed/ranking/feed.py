"""The kernel: (snapshot, policy, viewer, request, now, seed) → Slate. Pure: no I/O, no clock, no global randomness."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import (
    Bools,
    FeedRequest,
    Floats,
    Kind,
    Policy,
    Pool,
    Slate,
    Snapshot,
    Viewer,
)
from talentfeed.errors import PatternError, PolicyError
from talentfeed.ranking import candidates, features, linucb, noise, pools, slate
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.board import Boards
from talentfeed.ranking.calendar import Calendar
from talentfeed.ranking.decay import Decay
from talentfeed.ranking.diversity import SkillIndex
from talentfeed.ranking.masks import Ground
from talentfeed.ranking.noise import Stream
from talentfeed.ranking.postings import invert
from talentfeed.ranking.presets import Preset
from talentfeed.ranking.shelf import Listing
from talentfeed.ranking.table import Offer, Shortlist, Table

_KINDS = {"total": (Kind.VIDEO, Kind.FLOW), "discover": (Kind.VIDEO,), "flow": (Kind.FLOW,)}
LEARNING = (Pool.POPULAR, Pool.AFFINITY, Pool.FRESH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranker:
    """A snapshot and a policy, with what they imply for every request. Immutable; shared by all threads."""

    snapshot: Snapshot
    policy: Policy
    preset: Preset
    epsilon: float
    catalogue: features.Catalogue
    skills: SkillIndex
    calendar: Calendar
    boards: Boards
    listings: Mapping[Kind, Listing]
    flow_decay: Decay
    counters: Mapping[Kind, NDArray[np.uint64]]  # (items,) for the noise


def initial_policy() -> Policy:
    """The policy that nothing was learned for: version `initial`."""
    return Policy(version="initial", bandits={pool: linucb.initial() for pool in LEARNING})


def prepare(snapshot: Snapshot, policy: Policy, preset: Preset, *, epsilon: float | None = None) -> Ranker:
    """Derive once what does not depend on the request. `epsilon` stands in for the preset's.

    Raises PolicyError if a pool's bandit is missing or damaged, or epsilon is no share.
    """
    share = preset.epsilon if epsilon is None else epsilon
    if not 0.0 <= share <= 1.0:
        raise PolicyError(f"epsilon {share}: the share of exploration is between 0 and 1")
    missing = [pool for pool in LEARNING if pool not in policy.bandits]
    if missing:
        raise PolicyError(f"policy {policy.version}: no bandit for {', '.join(missing)}; start from the initial policy")
    videos, flows = snapshot.videos, snapshot.flows
    fixed = np.asarray(videos.features)
    by_creator = invert(videos.creator, snapshot.n_creators)
    ground = Ground(len(videos.id))
    catalogue = features.Catalogue.of(videos, snapshot.skills, snapshot.n_creators)
    return Ranker(
        snapshot=snapshot,
        policy=policy,
        preset=preset,
        epsilon=share,
        catalogue=catalogue,
        skills=SkillIndex.of(videos.tokens, snapshot.skills.n, ground),
        calendar=Calendar.of(catalogue.dated, ground),
        boards=Boards.of(
            catalogue,
            {
                pool: linucb.prepare(
                    policy.bandits[pool], fixed, features.MOVING, alpha=preset.of(pool).alpha, beta=preset.of(pool).beta
                )
                for pool in LEARNING
            },
            {pool: preset.of(pool) for pool in LEARNING},
            {pool: pools.fixed_bonus(fixed, preset.of(pool)) for pool in LEARNING},
            fixed[:, 12] > 0,
            feature_noise=preset.feature_noise,
            most_influence=viewers.influence(int(np.diff(snapshot.users.connection_start).max(initial=0))),
        ),
        listings={
            Kind.VIDEO: Listing.of(videos.creator, by_creator, ground),
            Kind.FLOW: Listing.of(flows.creator, invert(flows.creator, snapshot.n_creators), Ground(len(flows.id))),
        },
        flow_decay=Decay.of(flows.created_at),
        counters={Kind.VIDEO: catalogue.counter, Kind.FLOW: noise.counters(flows.id)},
    )


def rank(
    ranker: Ranker,
    viewer: Viewer,
    request: FeedRequest,
    *,
    now: float,
    seed: int,
    draw_seed: int | None = None,
    prune: bool = True,
) -> Slate:
    """One page. `now` is in seconds UTC; `seed`, of up to 128 bits, is all the chance there is in it.

    `draw_seed` stands in for it in the draws alone: other draws from the same distributions, the noise held.
    `prune=False` scores every video: it changes the time, never the slate.
    """
    chance = seed if draw_seed is None else draw_seed
    chosen = _candidates(ranker, viewer, request)
    shortlists: dict[Pool, Shortlist] = {}
    if Kind.VIDEO in chosen:
        shortlists |= _video_pools(ranker, viewer, chosen[Kind.VIDEO].out, now=now, seed=seed, prune=prune)
    if Kind.FLOW in chosen:
        shortlists[Pool.FLOW] = _flow_pool(ranker, viewer, request, ~chosen[Kind.FLOW].out, now=now, seed=seed)
    numbers = noise.counters(np.arange(request.size))
    explore, draw = noise.uniforms_of(chance, (Stream.EXPLORE, Stream.DRAW), numbers).tolist()
    slots, gave_way = slate.fill(
        Table(
            offers={kind: Offer(ranker.listings[kind], some.excluded, some.seen) for kind, some in chosen.items()},
            shortlists=shortlists,
            skills=ranker.skills,
            new=ranker.calendar.new(now),
            pattern=list(islice(cycle(request.pattern), request.size)),
            recent_creators=request.recent_creators,
            epsilon=ranker.epsilon,
            explore_uniforms=explore,
            draw_uniforms=draw,
        )
    )
    removed = Counter[str]()
    for some in chosen.values():
        removed.update(some.removed)
    return Slate(slots=slots, gave_way=gave_way, removed=removed)


def parse_pattern(text: str) -> tuple[Pool, ...]:
    """A slot pattern from its codes, separated by blanks or commas, upper or lower case.

    Raises PatternError if a code is unknown or no pool of videos is named: `discover` serves nothing else.
    """
    known = {str(pool): pool for pool in Pool}
    codes = text.replace(",", " ").split()
    unknown = sorted({code for code in codes if code.upper() not in known})
    if unknown:
        raise PatternError(f"pattern {text!r}: no pool is called {', '.join(unknown)}; use {' '.join(known)}")
    pattern = tuple(known[code.upper()] for code in codes)
    if all(pool is Pool.FLOW for pool in pattern):
        raise PatternError(f"pattern {text!r}: names no pool of videos; use at least one of VMP AU NU EXPLORE")
    return pattern


def pattern_for(endpoint: str, pattern: Sequence[Pool]) -> tuple[Pool, ...]:
    """The pattern of an endpoint: `total` as it is, `discover` without flows, `flow` flows alone.

    Raises PatternError for any other endpoint.
    """
    if endpoint not in _KINDS:
        raise PatternError(f"endpoint {endpoint!r}: there is no such feed; use one of {', '.join(_KINDS)}")
    if endpoint == "flow":
        return (Pool.FLOW,)
    if endpoint == "discover":
        return tuple(pool for pool in pattern if pool is not Pool.FLOW)
    return tuple(pattern)


def _candidates(ranker: Ranker, viewer: Viewer, request: FeedRequest) -> dict[Kind, candidates.Candidates]:
    videos, flows = ranker.snapshot.videos, ranker.snapshot.flows
    listed = ((Kind.VIDEO, videos.id, viewer.seen_videos), (Kind.FLOW, flows.id, viewer.seen_flows))
    kinds = _KINDS[request.endpoint]
    return {kind: candidates.select(ids, seen, request.excluded_ids) for kind, ids, seen in listed if kind in kinds}


def _video_pools(
    ranker: Ranker, viewer: Viewer, out: Bools, *, now: float, seed: int, prune: bool
) -> dict[Pool, Shortlist]:
    boards = ranker.boards
    moment = boards.moment(features.Taste.of(ranker.catalogue, viewer), seed, now)
    sizes = [ranker.preset.of(pool).shortlist for pool in boards.pools]
    best = dict(zip(boards.pools, boards.best(moment, out, sizes, prune=prune), strict=True))
    return {
        Pool.POPULAR: pools.Weighted.by_score(*best[Pool.POPULAR]),
        Pool.AFFINITY: pools.Best(best[Pool.AFFINITY][0].tolist()),
        Pool.FRESH: pools.Weighted.uniform(best[Pool.FRESH][0]),
    }


def video_scores(ranker: Ranker, viewer: Viewer, ages: features.Ages, seed: int) -> dict[Pool, Floats]:
    """The score of every video in each learning pool, (videos,) each: to the bit what ranks them."""
    boards = ranker.boards
    return boards.everything(boards.moment(features.Taste.of(ranker.catalogue, viewer), seed, ages.now))


def flow_scores(ranker: Ranker, now: float, seed: int) -> Floats:
    """The score of every flow, (flows,)."""
    weights = ranker.preset.flow
    recency = ranker.flow_decay.at(now)
    return weights.noise * noise.uniforms(seed, Stream.FLOW, ranker.counters[Kind.FLOW]) + weights.recency * recency


def _flow_pool(
    ranker: Ranker, viewer: Viewer, request: FeedRequest, kept: Bools, *, now: float, seed: int
) -> Shortlist:
    scores = flow_scores(ranker, now, seed)
    if request.endpoint == "flow":
        tier = pools.tiers(ranker.snapshot.flows.creator, viewer, request.shown_flows)
        return pools.flow_page(scores, kept, tier)
    return pools.flow(scores, kept, ranker.preset.flow.shortlist)
