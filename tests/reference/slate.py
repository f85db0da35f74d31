"""The slate as SPEC 7 says it: each slot looks at every item and asks every rule. Slow and obvious.

It shares no code with the kernel. Scores and draws are handed in, so that the same chance gives the same choice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.reference.ranking import days

from talentfeed.contracts import FeedRequest, Kind, Pool, Rule, Slot, Snapshot, Viewer

Item = tuple[Kind, int]
_Found = tuple[Item, Pool, float, bool]


@dataclass
class Chance:
    """What one slot draws with."""

    epsilon: float
    explore: float  # U[0, 1)
    draw: float  # U[0, 1)


@dataclass
class Pools:
    """Shortlists, best first, the scores of every row, and among how many of the best that may stand is drawn."""

    rows: Mapping[Pool, list[int]]
    scores: Mapping[Pool, Sequence[float]]
    among: Mapping[Pool, int]


def shortlists(
    snapshot: Snapshot, viewer: Viewer, request: FeedRequest, now: float, scores: Mapping[Pool, Sequence[float]]
) -> dict[Pool, list[int]]:
    """Best first, over what rules 1 and 2 keep."""
    videos, flows = snapshot.videos, snapshot.flows
    out = {int(i) for i in request.excluded_ids}
    kept = [i for i in range(len(videos.id)) if int(videos.id[i]) not in out and i not in viewer.seen_videos]
    kept_flows = [i for i in range(len(flows.id)) if int(flows.id[i]) not in out and i not in viewer.seen_flows]

    def best(pool: Pool, rows: Sequence[int], size: int | None) -> list[int]:
        return sorted(rows, key=lambda i: (-scores[pool][i], i))[:size]

    def tier(row: int) -> int:
        connected = int(flows.creator[row]) in viewer.connections.tolist()
        return 2 * (row in request.shown_flows.tolist()) + (not connected)

    flow_list = best(Pool.FLOW, kept_flows, None if request.endpoint == "flow" else 40)
    if request.endpoint == "flow":
        flow_list.sort(key=tier)
    return {
        Pool.POPULAR: best(Pool.POPULAR, [i for i in kept if videos.features[i, 12] > 0], 220),
        Pool.AFFINITY: best(Pool.AFFINITY, kept, 170),
        Pool.FRESH: best(Pool.FRESH, [i for i in kept if days(float(videos.created_at[i]), now) < 45], 190),
        Pool.FLOW: flow_list,
    }


@dataclass
class Feed:
    """A feed half filled, with the rules as questions."""

    snapshot: Snapshot
    viewer: Viewer
    request: FeedRequest
    now: float
    served: list[Item]

    def listing(self, kind: Kind) -> range:
        """Every row of a kind."""
        return range(len(self.snapshot.videos.id if kind is Kind.VIDEO else self.snapshot.flows.id))

    def creator(self, item: Item) -> int:
        """Creator code of an item."""
        kind, row = item
        return int((self.snapshot.videos if kind is Kind.VIDEO else self.snapshot.flows).creator[row])

    def gone(self, item: Item) -> bool:
        """Rule 1."""
        kind, row = item
        ids = self.snapshot.videos.id if kind is Kind.VIDEO else self.snapshot.flows.id
        return item in self.served or int(ids[row]) in self.request.excluded_ids.tolist()

    def seen(self, item: Item) -> bool:
        """Rule 2."""
        kind, row = item
        return row in (self.viewer.seen_videos if kind is Kind.VIDEO else self.viewer.seen_flows).tolist()

    def places_since(self, item: Item) -> int:
        """Rule 3: 1 if the last item is by the same creator; 12 or more keeps the rule."""
        places = [set(p) for p in self.request.recent_creators][-11:]
        places += [{self.creator(other)} for other in self.served]
        for back, creators in enumerate(reversed(places), start=1):
            if self.creator(item) in creators:
                return min(back, 12)
        return 12

    def skills(self, row: int) -> list[int]:
        """Skill tokens of a video."""
        return [t for t in self.snapshot.videos.tokens[row, :5].tolist() if t != 0]

    def not_diverse(self, row: int) -> bool:
        """Rule 4."""
        if not self.skills(row):
            return False
        mentions = [t for kind, r in self.served if kind is Kind.VIDEO for t in self.skills(r)] + self.skills(row)
        return 5 * len(set(mentions)) < 3 * len(mentions)

    def new(self, row: int) -> bool:
        """Younger than 45 days."""
        return days(float(self.snapshot.videos.created_at[row]), self.now) < 45

    def unseen(self, kind: Kind) -> list[int]:
        """What rules 1 and 2 leave."""
        return [r for r in self.listing(kind) if not self.gone((kind, r)) and not self.seen((kind, r))]

    def bounds(self, rest: Sequence[Pool], kinds: Sequence[Kind]) -> tuple[int, int, int, int]:
        """Rule 5 at the first slot of `rest`: new videos served, places of videos left, fewest and most new ones."""
        ahead = rest[1:]
        flow_slots = sum(pool is Pool.FLOW for pool in ahead)
        flows = len(self.unseen(Kind.FLOW)) if Kind.FLOW in kinds else 0
        places = 1 + len(ahead) - flow_slots + max(flow_slots - flows, 0)
        places = min(places, sum(not self.gone((Kind.VIDEO, r)) for r in self.listing(Kind.VIDEO)))
        videos = [row for kind, row in self.served if kind is Kind.VIDEO]
        count = len(videos) + places
        new_served = sum(self.new(row) for row in videos)
        left = self.unseen(Kind.VIDEO)
        new_left = sum(self.new(row) for row in left)
        low = min(math.floor(count / 4 + 0.5), new_served + new_left)
        high = max(math.floor((35 * count + 50) / 100), new_served + places - (len(left) - new_left))
        return new_served, places, low, high

    def waiting(self, rest: Sequence[Pool], kinds: Sequence[Kind]) -> set[int]:
        """Creators whose other items wait: hardly more than the feed still needs can bring a new video."""
        if Kind.VIDEO not in kinds:
            return set()
        new_served, _, low, _ = self.bounds(rest, kinds)
        needed = low - new_served
        if needed <= 0:
            return set()
        new = [row for row in self.unseen(Kind.VIDEO) if self.new(row)]
        makers = {self.creator((Kind.VIDEO, row)) for row in new if self.places_since((Kind.VIDEO, row)) >= 12}
        return makers if len(makers) <= needed + 2 else set()

    def only_new(self, rest: Sequence[Pool], kinds: Sequence[Kind], *, keep_for_fresh: bool) -> bool | None:
        """Rule 5 at the first slot of `rest`, were a video to stand there: True only new ones, False only old ones."""
        if Kind.VIDEO not in kinds:
            return None
        ahead = rest[1:]
        new_served, places, low, high = self.bounds(rest, kinds)
        if new_served >= high:
            return False
        if low - new_served >= places:
            return True
        fresh_ahead = sum(pool is Pool.FRESH for pool in ahead)
        if keep_for_fresh and rest[0] is not Pool.FRESH and new_served + fresh_ahead >= high:
            return False
        return None


def slate(
    snapshot: Snapshot,
    viewer: Viewer,
    request: FeedRequest,
    *,
    now: float,
    scores: Mapping[Pool, Sequence[float]],
    chances: Sequence[Chance],
    lists: Mapping[Pool, list[int]] | None = None,
    among: Mapping[Pool, int] | None = None,
) -> tuple[list[Slot], list[Rule]]:
    """The feed and the rules that gave way. `lists` stand in for the shortlists of classic."""
    lists = {**shortlists(snapshot, viewer, request, now, scores), **(lists or {})}
    kinds = {"total": [Kind.VIDEO, Kind.FLOW], "discover": [Kind.VIDEO], "flow": [Kind.FLOW]}[request.endpoint]
    plan = [request.pattern[i % len(request.pattern)] for i in range(request.size)]
    feed = Feed(snapshot, viewer, request, now, [])
    slots: list[Slot] = []
    for number, planned in enumerate(plan):
        found = _choose(feed, plan[number:], kinds, Pools(lists, scores, among or {}), chances[number])
        if found is None:
            break
        (kind, row), pool, probability, explored = found
        broken = []
        if kind is Kind.VIDEO:
            only = feed.only_new(plan[number:], kinds, keep_for_fresh=False)
            broken += [Rule.NEW_CONTENT] if only is not None and only != feed.new(row) else []
            broken += [Rule.SKILL_DIVERSITY] if feed.not_diverse(row) else []
        broken += [Rule.ALREADY_SEEN] if feed.seen((kind, row)) else []
        broken += [Rule.CREATOR_WINDOW] if feed.places_since((kind, row)) < 12 else []
        feed.served.append((kind, row))
        slots.append(Slot(kind, row, pool, planned, probability, explored, tuple(broken)))
    gave_way: set[Rule] = {rule for slot in slots for rule in slot.gave_way if rule is not Rule.NEW_CONTENT}
    videos = [slot.index for slot in slots if slot.kind is Kind.VIDEO]
    share = sum(feed.new(row) for row in videos)
    if not math.floor(len(videos) / 4 + 0.5) <= share <= math.floor((35 * len(videos) + 50) / 100):
        gave_way.add(Rule.NEW_CONTENT)
    return slots, [rule for rule in Rule if rule in gave_way]


def _choose(
    feed: Feed,
    rest: Sequence[Pool],
    kinds: Sequence[Kind],
    pools: Pools,
    chance: Chance,
) -> _Found | None:
    planned = rest[0]
    own = Kind.FLOW if planned is Pool.FLOW else Kind.VIDEO
    order = [kind for kind in (own, Kind(1 - own)) if kind in kinds]
    waiting = feed.waiting(rest, kinds)
    if waiting:
        own = order[0]
        only = feed.only_new(rest, kinds, keep_for_fresh=True)
        admissible = [
            row
            for row in feed.unseen(own)
            if feed.places_since((own, row)) >= 12
            and (own is Kind.FLOW or only is None or only == feed.new(row))
            and (own is Kind.FLOW or not feed.not_diverse(row))
            and (feed.creator((own, row)) not in waiting or (own is Kind.VIDEO and feed.new(row)))
        ]
        if admissible:
            return _draw(planned, own, admissible, pools, chance)
    for window in range(12, 0, -1):
        for keep_for_fresh, rule5, rule4 in ((1, 1, 1), (0, 1, 1), (0, 0, 1), (0, 1, 0), (0, 0, 0)):
            for kind in order:
                if keep_for_fresh and kind is Kind.FLOW and planned is not Pool.FLOW:
                    continue
                only = feed.only_new(rest, kinds, keep_for_fresh=bool(keep_for_fresh)) if rule5 else None
                admissible = [
                    row
                    for row in feed.unseen(kind)
                    if feed.places_since((kind, row)) >= window
                    and (kind is Kind.FLOW or only is None or only == feed.new(row))
                    and (kind is Kind.FLOW or not rule4 or not feed.not_diverse(row))
                ]
                if admissible:
                    return _draw(planned, kind, admissible, pools, chance)
        for kind in order:
            seen = feed.viewer.seen_videos if kind is Kind.VIDEO else feed.viewer.seen_flows
            for row in reversed(seen.tolist()):
                if not feed.gone((kind, row)) and feed.places_since((kind, row)) >= window:
                    return (kind, row), Pool.EXPLORE, 1.0, False
    return None


def _draw(
    planned: Pool,
    kind: Kind,
    admissible: list[int],
    pools: Pools,
    chance: Chance,
) -> _Found:
    if kind is Kind.FLOW:
        ladder = [Pool.FLOW, Pool.EXPLORE]
    elif planned is Pool.FLOW:
        ladder = [Pool.AFFINITY, Pool.POPULAR, Pool.FRESH, Pool.EXPLORE]
    else:
        ladder = [planned, Pool.EXPLORE]
    pool = next(p for p in ladder if p is Pool.EXPLORE or any(row in admissible for row in pools.rows[p]))
    rows = sorted(admissible) if pool is Pool.EXPLORE else [row for row in pools.rows[pool] if row in admissible]
    rows = rows[: pools.among.get(pool)]
    weights = [1.0] * len(rows)
    if pool in (Pool.AFFINITY, Pool.FLOW):
        weights = [1.0] + [0.0] * (len(rows) - 1)
    if pool is Pool.POPULAR:
        weights = [max(pools.scores[pool][row], 0.0) for row in rows]
        weights = weights if any(weights) else [1.0] * len(rows)
    explored = chance.explore < chance.epsilon
    if explored:
        row = sorted(admissible)[math.floor(chance.draw * len(admissible))]
    else:
        reach, total = 0.0, sum(weights)
        for row, weight in zip(rows, weights, strict=True):  # noqa: B007
            reach += weight
            if reach > chance.draw * total:
                break
    share = weights[rows.index(row)] / sum(weights) if row in rows else 0.0
    return (kind, row), pool, (1 - chance.epsilon) * share + chance.epsilon / len(admissible), explored
