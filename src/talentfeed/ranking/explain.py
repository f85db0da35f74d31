"""Why each item of a feed stands where it stands, recomputed from the feed's record. Not on any request's way."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from talentfeed.contracts import Bools, FeedRequest, Floats, Indices, Ints, Kind, Pool, Slot, Snapshot, Viewer
from talentfeed.ranking import parts, sentences
from talentfeed.ranking.explanation import (
    Candidates,
    Draw,
    Explanation,
    Fallback,
    Item,
    Lost,
    PoolCandidates,
    SlotExplanation,
    ViewerSummary,
    Weight,
)
from talentfeed.ranking.feed import LEARNING, Ranker, flow_scores, retrieved, video_features, video_scores
from talentfeed.ranking.parts import ScoreParts
from talentfeed.ranking.record import FeedRecord, Replay
from talentfeed.ranking.standing import REASONS, Rules, Standing

__all__ = ["Explanation", "explain"]

LOST = 3  # candidates that lost, told of each place
TYPES = {Kind.VIDEO: "resume", Kind.FLOW: "challenge"}
_BLOCKING = [REASONS.index(rule) for rule in ("creator_window", "skill_diversity", "new_content")]


def explain(record: FeedRecord, ranker: Ranker, replay: Replay) -> Explanation:
    """Why the feed is as it is; of the replay, where that is not what was served."""
    viewer, request, slate = replay.viewer, record.request, replay.slate
    rules = Rules(ranker.snapshot, viewer, request, now=record.now)
    offers = offers_of(ranker, viewer, request, rules, now=record.now, seed=record.seed)
    split = _split(ranker, viewer, slate.slots, offers, now=record.now, seed=record.seed)
    slots = []
    for place, slot in enumerate(slate.slots):
        slots.append(
            _slot(ranker, place, slot, standing=rules.at(place), offer=offers.get(slot.pool), split=split[place])
        )
        rules.serve(slot)
    return Explanation(
        feed_id=record.feed_id,
        identical=replay.identical,
        endpoint=request.endpoint,
        snapshot=record.snapshot,
        policy=record.policy,
        preset=record.preset,
        epsilon=record.epsilon,
        now=datetime.fromtimestamp(record.now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        viewer=_summary(ranker.snapshot, viewer, len(record.events)),
        candidates={TYPES[kind]: _candidates(rules, kind) for kind in rules.kinds},
        pools={pool.value: offer.counts for pool, offer in offers.items()},
        gave_way=[rule.value for rule in slate.gave_way],
        fallbacks=[
            Fallback(slot=place, planned=slot.planned.value, pool=slot.pool.value)
            for place, slot in enumerate(slate.slots)
            if slot.pool is not slot.planned
        ],
        slots=slots,
    )


# ---------------------------------------------------------------- the pools


class Offer:
    """A pool's candidates of the whole catalogue in its own order, and what it can draw."""

    def __init__(
        self,
        pool: Pool,
        scores: Floats,  # (n,)
        suits: Bools,  # (n,) the pool's own filter
        kept: Bools,  # (n,) neither excluded nor seen
        *,
        size: int | None,
        among: int | None = None,  # a draw is among so many of the best that may stand
        misses: str | None = None,  # name of the filter
        retrieved: Ints | None = None,  # rows that are scored; None: all
        tier: Ints | None = None,  # (n,) ordered by before the score
    ) -> None:
        self.pool, self.scores, self.suits, self.tier, self._among = pool, scores, suits, tier, among
        rows = np.arange(len(scores))
        order = np.lexsort((rows, -scores) if tier is None else (rows, -scores, tier))
        self.order: Ints = order[suits[order]]  # best first
        listed = self.order[kept[self.order]]
        removed = {} if misses is None else {misses: int((kept & ~suits).sum())}
        if retrieved is not None:
            removed["retrieval"] = len(listed) - len(retrieved)
            listed = listed[np.isin(listed, retrieved)]
        self.shortlist: Ints = listed if size is None else listed[:size]
        self.rank = np.empty(len(scores), np.int64)
        self.rank[order] = rows
        self.counts = PoolCandidates(
            meaning=sentences.POOLS[pool],
            removed=removed,
            candidates=len(listed),
            shortlist=len(self.shortlist),
        )

    def drawable(self, admissible: Bools) -> Bools:
        """Which of the shortlist a draw over what may stand is among, (shortlist,)."""
        found: Bools = admissible[self.shortlist]
        return found if self._among is None else found & (np.cumsum(found) <= self._among)

    def weights(self, admissible: Bools) -> Floats:
        """What the shortlist weighs in such a draw, (shortlist,)."""
        among = self.drawable(admissible)
        weights = np.zeros(len(among))
        if self.pool in (Pool.AFFINITY, Pool.FLOW):
            weights[among.argmax() if len(among) else []] = float(among.any())
            return weights
        if self.pool is Pool.POPULAR:
            weights = np.maximum(self.scores[self.shortlist], 0.0) * among
        return weights if weights.sum() > 0 else among.astype(np.float64)


def offers_of(
    ranker: Ranker, viewer: Viewer, request: FeedRequest, rules: Rules, *, now: float, seed: int
) -> dict[Pool, Offer]:
    """What each pool of a request draws from."""
    kept = {kind: ~(rules.excluded[kind] | rules.seen[kind]) for kind in rules.kinds}
    offers: dict[Pool, Offer] = {}
    if Kind.VIDEO in rules.kinds:
        videos = ranker.snapshot.videos
        scores = video_scores(ranker, viewer, now, seed)
        scored = retrieved(ranker, viewer, request, now)
        suits: Mapping[Pool, tuple[Bools, str | None]] = {
            Pool.POPULAR: (np.asarray(videos.features)[:, 12] > 0, "quality_gate"),
            Pool.AFFINITY: (np.ones(len(videos.id), np.bool_), None),
            Pool.FRESH: (rules.new, "not_new"),
        }
        for pool in LEARNING:
            may, misses = suits[pool]
            offers[pool] = Offer(
                pool,
                scores[pool],
                may,
                kept[Kind.VIDEO],
                size=ranker.preset.of(pool).shortlist,
                among=ranker.preset.of(pool).among,
                misses=misses,
                retrieved=None if scored is None else scored[pool],
            )
    if Kind.FLOW in rules.kinds:
        creator, alone = ranker.snapshot.flows.creator, request.endpoint == "flow"
        offers[Pool.FLOW] = Offer(
            Pool.FLOW,
            flow_scores(ranker, viewer, now, seed),
            np.ones(len(creator), np.bool_),
            kept[Kind.FLOW],
            size=None if alone else ranker.preset.flow.shortlist,
            tier=_tiers(creator, viewer, request.shown_flows) if alone else None,
        )
    return offers


def _tiers(
    creator: Indices,  # (flows,)
    viewer: Viewer,
    shown: Indices,  # rows of flows shown in earlier sessions
) -> Ints:
    """Connections' flows before others', and whatever was shown before after both. (flows,)"""
    tier = (~np.isin(creator, viewer.connections)).astype(np.int64)
    tier[shown] += 2
    return tier


def _split(
    ranker: Ranker,
    viewer: Viewer,
    slots: Sequence[Slot],
    offers: Mapping[Pool, Offer],
    *,
    now: float,
    seed: int,
) -> list[ScoreParts | None]:
    """The parts of each slot's score in the pool it came from."""
    split: list[ScoreParts | None] = [None] * len(slots)
    for pool, offer in offers.items():
        places = [n for n, slot in enumerate(slots) if slot.pool is pool]
        rows = [slots[n].index for n in places]
        if pool is Pool.FLOW:
            found = parts.flow_parts(ranker, rows, offer.scores, now=now, seed=seed)
        elif rows:
            x = video_features(ranker, viewer, rows, now=now, seed=seed)
            found = parts.video_parts(ranker, pool, rows, x, offer.scores, now=now, seed=seed)
        else:
            found = []
        for n, part in zip(places, found, strict=True):
            split[n] = part
    return split


# ---------------------------------------------------------------- one place


def _slot(
    ranker: Ranker, place: int, slot: Slot, *, standing: Standing, offer: Offer | None, split: ScoreParts | None
) -> SlotExplanation:
    admissible = standing.admissible(slot.kind)
    count = 1 if standing.comes_back else int(np.count_nonzero(admissible))
    weights = np.zeros(0) if offer is None else offer.weights(admissible)
    total = float(weights.sum())
    if offer is None:
        draw = Draw(from_pool=1.0 / max(count, 1), explore_share=0.0, admissible=count)
    else:
        own = float(weights[offer.shortlist == slot.index].sum())
        draw = Draw(from_pool=own / total if total else 0.0, explore_share=ranker.epsilon, admissible=count)
    passed: dict[str, int] = {}
    lost: list[Lost] = []
    if offer is not None:
        codes = standing.reasons[slot.kind]
        outcomes = _Outcomes(offer, slot, offer.drawable(admissible), weights, total)
        ahead = offer.order[offer.rank[offer.order] < offer.rank[slot.index]]
        for code, number in zip(*np.unique(codes[ahead], return_counts=True), strict=True):
            if code:
                passed[REASONS[code]] = int(number)
        for row in ahead[codes[ahead] == 0].tolist():
            reason = outcomes.reason(row)
            passed[reason] = passed.get(reason, 0) + 1
        open_to = offer.order[((codes == 0) | np.isin(codes, _BLOCKING))[offer.order] & (offer.order != slot.index)]
        for row in open_to[:LOST].tolist():
            reason = REASONS[codes[row]] or outcomes.reason(row)
            lost.append(
                Lost(
                    item=_item(ranker.snapshot, slot.kind, row),
                    score=float(offer.scores[row]),
                    reason=reason,
                    says=outcomes.says(row, reason),
                )
            )
    return SlotExplanation(
        place=place,
        why=sentences.why(
            kind=slot.kind,
            pool=slot.pool,
            planned=slot.planned,
            explored=slot.explored,
            comes_back=standing.comes_back,
            epsilon=ranker.epsilon,
            probability=slot.probability,
            admissible=count,
            drawable=int(np.count_nonzero(weights)),
            parts=split,
            passed_over=passed,
            gave_way=slot.gave_way,
        ),
        item=_item(ranker.snapshot, slot.kind, slot.index),
        pool=slot.pool.value,
        pool_meaning=sentences.POOLS[slot.pool],
        planned=slot.planned.value,
        fell_through=slot.pool is not slot.planned,
        explored=slot.explored,
        probability=slot.probability,
        draw=draw,
        gave_way=[rule.value for rule in slot.gave_way],
        score=split,
        tier=None if offer is None or offer.tier is None else int(offer.tier[slot.index]),
        passed_over=passed,
        lost=lost,
    )


class _Outcomes:
    """What became of the candidates that might have stood at a place."""

    def __init__(self, offer: Offer, slot: Slot, drawable: Bools, weights: Floats, total: float) -> None:
        self._weight = dict(zip(offer.shortlist[drawable].tolist(), weights[drawable].tolist(), strict=True))
        self._total = total
        self._explored = slot.explored
        self._drawn = offer.pool in (Pool.POPULAR, Pool.FRESH)

    def reason(self, row: int) -> str:
        if self._explored:
            return "explored"
        if row not in self._weight:
            return "shortlist"
        return "chance" if self._drawn else "score"

    def says(self, row: int, reason: str) -> str:
        if reason != "chance":
            return sentences.REASONS[reason]
        return f"not drawn: weight {self._weight[row]:.3f} of {self._total:.3f}"


# ---------------------------------------------------------------- the request


def _candidates(rules: Rules, kind: Kind) -> Candidates:
    excluded, seen = rules.excluded[kind], rules.seen[kind]
    return Candidates(
        all=len(excluded),
        removed={"excluded": int(excluded.sum()), "already_seen": int((seen & ~excluded).sum())},
        left=int((~(excluded | seen)).sum()),
    )


def _summary(snapshot: Snapshot, viewer: Viewer, events: int) -> ViewerSummary:
    named = snapshot.manifest
    heaviest = sorted(zip(viewer.skill_weights.tolist(), viewer.skills.tolist(), strict=True), key=lambda s: -s[0])
    return ViewerSummary(
        user_id=viewer.user_id,
        known=viewer.known,
        skills=[Weight(name=named.tokens[token], weight=weight) for weight, token in heaviest],
        cities=[named.cities[city] for city in viewer.cities.tolist()],
        connections=round(float(np.expm1(viewer.influence * 10))),
        seen_videos=len(viewer.seen_videos),
        seen_flows=len(viewer.seen_flows),
        recent_events=events,
    )


def _item(snapshot: Snapshot, kind: Kind, row: int) -> Item:
    listing = snapshot.videos if kind is Kind.VIDEO else snapshot.flows
    begin, end = listing.json_start[row : row + 2].tolist()
    body = json.loads(listing.json[begin:end].tobytes())
    return Item(type=TYPES[kind], id=int(listing.id[row]), name=body.get("name", ""), creator=body.get("user_name", ""))
