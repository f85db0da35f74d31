"""The plain reference: a whole feed by straightforward NumPy over the full catalogue. SPEC 5 to 7.

Nothing is pruned and nothing is kept between requests: the 18 columns as one (n, 18) matrix, x @ theta, one einsum for
the width, and at every slot a mask over the whole catalogue for every rule. It shares with the kernel only the noise
and the table of weights, so that the same request must give the same slots.
"""

from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from talentfeed.contracts import (
    CREATOR_WINDOW,
    N_KNOWLEDGES,
    N_LANGUAGES,
    N_SKILLS,
    N_TOOLS,
    NEW_DAYS,
    NO_DATE,
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
    Rule,
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
# leave the rest of rule 5's upper bound to the fresh slots; keep rule 5; keep rule 4
_Rules = tuple[bool, bool, bool]
_ALL: tuple[_Rules, ...] = ((True, True, True), (False, True, True))
_FEWER: tuple[_Rules, ...] = ((False, False, True), (False, True, False), (False, False, False))


@dataclass
class _Shortlist:
    rows: Ints  # best first
    weights: Floats | None  # to draw by; None: the best


@dataclass
class _Side:
    """The items of one kind during one feed."""

    creator: Indices
    gone: Bools  # excluded or served
    seen: Bools  # and not excluded
    oldest: Ints  # rows of those, oldest interaction first


@dataclass
class _Bounds:
    """What rule 5 asks of a video at this slot: True new, False old, None either."""

    kept_for_fresh: bool | None
    only: bool | None


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
    sides: dict[Kind, _Side] = {}
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
        sides[kind] = _Side(listing.creator, gone, seen, oldest[seen[oldest]])
    new = _days(snapshot.videos.created_at, now) < NEW_DAYS
    lists = _shortlists(snapshot, policy, preset, viewer, request, sides=sides, new=new, now=now, seed=seed)
    numbers = noise.counters(np.arange(request.size))
    return _Filling(
        sides=sides,
        lists=lists,
        new=new,
        skills=snapshot.videos.tokens[:, :N_SKILLS],
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
    sides: dict[Kind, _Side],
    new: Bools,
    now: float,
    seed: int,
) -> dict[Pool, _Shortlist]:
    lists: dict[Pool, _Shortlist] = {}
    if Kind.VIDEO in sides:
        kept = ~sides[Kind.VIDEO].gone & ~sides[Kind.VIDEO].seen
        x = matrix(snapshot, viewer, now=now, seed=seed, preset=preset)
        recency = np.exp(-_days(snapshot.videos.created_at, now) / 28)
        scores = {p: _scores(x, policy.bandits[p], preset.of(p), recency, new) for p in _VIDEO_POOLS}
        counters = noise.counters(snapshot.videos.id)
        scores[Pool.FRESH] += preset.fresh.noise * noise.uniforms(seed, Stream.FRESH, counters)
        rows = _best(scores[Pool.POPULAR], kept & (x[:, 12] > 0), preset.popular.shortlist)
        lists[Pool.POPULAR] = _Shortlist(rows, np.maximum(scores[Pool.POPULAR][rows], 0.0))
        lists[Pool.AFFINITY] = _Shortlist(_best(scores[Pool.AFFINITY], kept, preset.affinity.shortlist), None)
        rows = _best(scores[Pool.FRESH], kept & new, preset.fresh.shortlist)
        lists[Pool.FRESH] = _Shortlist(rows, np.ones(len(rows)))
    if Kind.FLOW in sides:
        flows, kept = snapshot.flows, ~sides[Kind.FLOW].gone & ~sides[Kind.FLOW].seen
        score = preset.flow.noise * noise.uniforms(seed, Stream.FLOW, noise.counters(flows.id))
        score += preset.flow.recency * np.exp(-_days(flows.created_at, now) / 28)
        if request.endpoint == "flow":
            tier = (~np.isin(flows.creator, viewer.connections)).astype(np.int64)
            tier[request.shown_flows] += 2
            rows = np.lexsort((-score, tier))
            lists[Pool.FLOW] = _Shortlist(rows[kept[rows]], None)
        else:
            lists[Pool.FLOW] = _Shortlist(_best(score, kept, preset.flow.shortlist), None)
    return lists


@dataclass
class _Filling:
    """A feed half filled."""

    sides: dict[Kind, _Side]
    lists: dict[Pool, _Shortlist]
    new: Bools  # (videos,)
    skills: Indices  # (videos, N_SKILLS)
    used: Bools  # (skills + 1,) in the feed so far
    pattern: list[Pool]
    window: list[list[int]]  # creators at each place so far, oldest first
    epsilon: float
    explore: Floats
    draw: Floats
    mentions: int = 0  # of skills in the feed so far
    served_videos: int = 0
    served_new: int = 0

    def slots(self) -> list[Slot]:
        """Until the pattern is at its end or nothing is left."""
        slots: list[Slot] = []
        for number, planned in enumerate(self.pattern):
            slot = self._choose(number, planned)
            if slot is None:
                break
            slots.append(slot)
            self._serve(slot.kind, slot.index)
        return slots

    def _choose(self, number: int, planned: Pool) -> Slot | None:
        own = Kind.FLOW if planned is Pool.FLOW else Kind.VIDEO
        kinds = sorted(self.sides, key=lambda kind: kind is not own)
        left = {kind: ~self.sides[kind].gone for kind in kinds}
        blocked = {kind: self._blocked(self.sides[kind].creator) for kind in kinds}
        unseen = {kind: left[kind] & ~self.sides[kind].seen for kind in kinds}
        diverse = self._diverse()
        bounds = self._bounds(number, planned)

        def attempt(standing: dict[Kind, Bools], ladder: tuple[_Rules, ...]) -> Slot | None:
            for keep_for_fresh, rule5, rule4 in ladder:
                for kind, mask in standing.items():
                    admissible = mask
                    if kind is Kind.VIDEO:
                        only = bounds.kept_for_fresh if keep_for_fresh else bounds.only
                        if rule5 and only is not None:
                            admissible = admissible & (self.new == only)
                        if rule4:
                            admissible = admissible & diverse
                    elif keep_for_fresh and planned is not Pool.FLOW:
                        continue
                    slot = self._drawn(number, planned, kind, admissible)
                    if slot is not None:
                        return slot
            return None

        def oldest(standing: dict[Kind, Bools]) -> Slot | None:
            for kind, mask in standing.items():
                rows = self.sides[kind].oldest
                rows = rows[mask[rows]]
                if len(rows):
                    return Slot(kind, int(rows[0]), Pool.EXPLORE, planned, 1.0, False, ())
            return None

        free = {kind: unseen[kind] & ~blocked[kind] for kind in kinds}
        slot = attempt(free, _ALL + _FEWER) or oldest({kind: left[kind] & ~blocked[kind] for kind in kinds})
        if slot is None:
            shrunk = self._shrunk(left)
            slot = attempt({kind: shrunk[kind] & unseen[kind] for kind in kinds}, _ALL + _FEWER) or oldest(shrunk)
        if slot is None:
            return None
        kind, row = slot.kind, slot.index
        video = kind is Kind.VIDEO
        broken = {
            Rule.NEW_CONTENT: video and bounds.only is not None and bool(self.new[row]) != bounds.only,
            Rule.SKILL_DIVERSITY: video and not diverse[row],
            Rule.ALREADY_SEEN: bool(self.sides[kind].seen[row]),
            Rule.CREATOR_WINDOW: bool(blocked[kind][row]),
        }
        gave_way = tuple(rule for rule in Rule if broken[rule])
        return Slot(kind, row, slot.pool, planned, slot.probability, slot.explored, gave_way)

    def _drawn(self, number: int, planned: Pool, kind: Kind, admissible: Bools) -> Slot | None:
        count = int(admissible.sum())
        if not count:
            return None
        uniform = float(self.draw[number])
        anywhere = int(np.flatnonzero(admissible)[min(int(uniform * count), count - 1)])
        explored = bool(self.explore[number] < self.epsilon)
        if kind is Kind.FLOW:
            ladder: tuple[Pool, ...] = (Pool.FLOW,)
        elif planned is Pool.FLOW:
            ladder = (Pool.AFFINITY, Pool.POPULAR, Pool.FRESH)
        else:
            ladder = () if planned is Pool.EXPLORE else (planned,)
        for pool in ladder:
            rows = self.lists[pool].rows
            rows, weights = rows[admissible[rows]], self.lists[pool].weights
            if not len(rows):
                continue
            if weights is None:
                share = np.zeros(len(rows))
                share[0] = 1.0
            else:
                share = weights[admissible[self.lists[pool].rows]]
                if share.sum() <= 0:
                    share = np.ones(len(rows))
            reach = share.cumsum()
            place = int(np.searchsorted(reach, uniform * reach[-1], side="right"))
            row = anywhere if explored else int(rows[min(place, int(np.flatnonzero(share)[-1]))])
            chance = float(share[rows == row].sum() / reach[-1])
            return Slot(kind, row, pool, planned, (1 - self.epsilon) * chance + self.epsilon / count, explored, ())
        return Slot(kind, anywhere, Pool.EXPLORE, planned, 1 / count, explored, ())

    def _blocked(self, creator: Indices) -> Bools:
        """Rule 3: whose creator stands at one of the last 11 places."""
        return np.isin(creator, [code for place in self.window[1 - CREATOR_WINDOW :] for code in place])

    def _shrunk(self, left: dict[Kind, Bools]) -> dict[Kind, Bools]:
        """What the largest smaller window lets stand that lets anything stand."""
        places = self.window[1 - CREATOR_WINDOW :]
        ago = {}
        for kind, side in self.sides.items():
            ago[kind] = np.full(len(side.creator), CREATOR_WINDOW)
            for number, codes in enumerate(places):
                ago[kind][np.isin(side.creator, codes)] = len(places) - number
        farthest = max(int(ago[kind][left[kind]].max(initial=0)) for kind in left)
        return {kind: left[kind] & (ago[kind] == farthest) for kind in left}

    def _diverse(self) -> Bools:
        """Rule 4: distinct skills stay at or above 3/5 of all mentions. A video without skills is neutral."""
        listed = self.skills > 0
        count = listed.sum(axis=1)
        fresh = (listed & ~self.used[self.skills]).sum(axis=1)
        return np.asarray((count == 0) | (5 * (self.used.sum() + fresh) >= 3 * (self.mentions + count)))

    def _bounds(self, number: int, planned: Pool) -> _Bounds:
        """Rule 5: 25 to 35 % of the feed's videos are new, clipped to what is left."""
        if Kind.VIDEO not in self.sides:
            return _Bounds(None, None)
        left = {kind: int((~side.gone & ~side.seen).sum()) for kind, side in self.sides.items()}
        videos, behind = self.sides[Kind.VIDEO], self.pattern[number + 1 :]
        flow_slots = behind.count(Pool.FLOW)
        places = 1 + len(behind) - flow_slots + max(flow_slots - left.get(Kind.FLOW, 0), 0)
        places = min(places, left[Kind.VIDEO] + int((~videos.gone & videos.seen).sum()))
        new_left = int((self.new & ~videos.gone & ~videos.seen).sum())
        total = self.served_videos + places
        low, high = int(0.25 * total + 0.5), int((7 * total + 10) // 20)
        low = min(low, self.served_new + new_left)
        high = max(high, self.served_new + places - (left[Kind.VIDEO] - new_left))
        only = None
        if self.served_new >= high:
            only = False
        elif self.served_new + places <= low:
            only = True
        kept = only
        if only is None and planned is not Pool.FRESH and self.served_new + behind.count(Pool.FRESH) >= high:
            kept = False
        return _Bounds(kept, only)

    def _serve(self, kind: Kind, row: int) -> None:
        self.sides[kind].gone[row] = True
        self.window.append([int(self.sides[kind].creator[row])])
        if kind is Kind.VIDEO:
            skills = self.skills[row][self.skills[row] > 0]
            self.used[skills] = True
            self.mentions += len(skills)
            self.served_videos += 1
            self.served_new += int(self.new[row])
