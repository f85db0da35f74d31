"""Stage 6 where nothing has to give way: the slots of a feed in one pass, for small catalogues.

It keeps the rules as `slate.py` does and makes the same choices; a feed whose rules cannot all stand is left to it.
What the classes of the rules keep stands here in plain numbers and ints: half of a feed's time went into calls.
"""

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

from talentfeed.contracts import CREATOR_WINDOW, Kind, Pool, Rule, Slot
from talentfeed.ranking.diversity import Diversity
from talentfeed.ranking.masks import Mask
from talentfeed.ranking.newness import counts_behind, within_band
from talentfeed.ranking.reserve import Reserve
from talentfeed.ranking.shelf import Shelf
from talentfeed.ranking.table import Table, draw, ladder

_FRESH, _FLOW = Pool.FRESH, Pool.FLOW
_VIDEO_KIND, _FLOW_KIND = Kind.VIDEO, Kind.FLOW
_PLACES = CREATOR_WINDOW - 1
_Step = tuple[Pool, bool, bool, Sequence[Pool], tuple[int, int, int]]
_Drawn = tuple[int, Pool, float, bool]  # row, pool, probability, explored


def fill(table: Table) -> tuple[list[Slot], list[Rule]] | None:
    """As `slate.fill`; None where a rule has to give way, or the catalogue is not small."""
    if not all(offer.listing.ground.small for offer in table.offers.values()):
        return None
    shelves = {kind: Shelf(o.listing, o.excluded, o.seen) for kind, o in table.offers.items()}
    videos, flows = shelves.get(_VIDEO_KIND), shelves.get(_FLOW_KIND)
    if Reserve(table.new, videos, table.shortlists[_FRESH].rows if videos else None, len(table.pattern)).watches:
        return None
    video_made: Sequence[Mask] = videos.listing.made if videos else ()
    flow_made: Sequence[Mask] = flows.listing.made if flows else ()
    n_video_made, n_flow_made = len(video_made), len(flow_made)
    places: deque[Sequence[int]] = deque(table.recent_creators[-_PLACES:])
    times: dict[int, int] = {}
    video_blocked = flow_blocked = 0
    for creators in places:
        for creator in creators:
            times[creator] = times.get(creator, 0) + 1
            if 0 <= creator < n_video_made:
                video_blocked |= video_made[creator]
            if 0 <= creator < n_flow_made:
                flow_blocked |= flow_made[creator]
    new = table.new
    videos_left, videos_unseen, videos_seen = 0, 0, 0
    new_left = new_served = served = 0
    if videos:
        videos_left, videos_unseen, videos_seen = videos.unseen_left, videos.unseen, videos.seen_left
        new_left = (new & videos_unseen).bit_count()
    flows_left, flows_unseen = (flows.unseen_left, flows.unseen) if flows else (0, 0)
    diversity = Diversity(table.skills)
    slots: list[Slot] = []
    only: bool | None = None
    for number, (planned, is_flow, is_fresh, pools, ahead) in enumerate(_plan(tuple(table.pattern))):
        drawn: _Drawn | None = None
        if is_flow and flows:
            admissible = flows_unseen ^ (flows_unseen & flow_blocked)
            if admissible:
                drawn = draw(
                    table, number, (_FLOW,), ground=flows.ground, admissible=admissible, count=admissible.bit_count()
                )
        if drawn is not None and flows:
            row, pool, probability, explored = drawn
            kind, shelf = _FLOW_KIND, flows
            flows_left -= 1
            flows_unseen ^= 1 << row
        else:
            if not videos:
                return None
            flow_slots, fresh_slots, video_slots = ahead
            ending = 1 + video_slots + (flow_slots - flows_left if flow_slots > flows_left else 0)
            ending = min(ending, videos_left + videos_seen)
            low, high = (served + ending + 2) // 4, (7 * (served + ending) + 10) // 20
            low = min(low, new_served + new_left)
            high = max(high, new_served + ending - (videos_left - new_left))
            only = None
            if new_served >= high:
                only = False
            elif low - new_served >= ending:
                only = True
            kept = only
            if only is None and not is_fresh and new_served + fresh_slots >= high:
                kept = False
            free = videos_unseen ^ (videos_unseen & video_blocked)
            failing = diversity.failing()
            if failing is not None:
                free ^= free & failing
            news = free & new
            admissible = free if kept is None else news if kept else free ^ news
            if not admissible:
                # without what is kept for the fresh slots; a flow would come first, and a rule may have to give way
                return None
            drawn = draw(
                table, number, pools, ground=videos.ground, admissible=admissible, count=admissible.bit_count()
            )
            row, pool, probability, explored = drawn
            kind, shelf = _VIDEO_KIND, videos
            bit = 1 << row
            videos_left -= 1
            videos_unseen ^= bit
            served += 1
            if new & bit:
                new_served += 1
                new_left -= 1
            diversity.take(row)
        creator = shelf.listing.creator.item(row)
        if len(places) == _PLACES:
            for gone in places.popleft():
                times[gone] -= 1
                if not times[gone]:
                    if 0 <= gone < n_video_made:
                        video_blocked &= ~video_made[gone]
                    if 0 <= gone < n_flow_made:
                        flow_blocked &= ~flow_made[gone]
        places.append((creator,))
        times[creator] = times.get(creator, 0) + 1
        if 0 <= creator < n_video_made:
            video_blocked |= video_made[creator]
        if 0 <= creator < n_flow_made:
            flow_blocked |= flow_made[creator]
        slots.append(Slot(kind, row, pool, planned, probability, explored, ()))
    return slots, [] if within_band(served, new_served) else [Rule.NEW_CONTENT]


@lru_cache(maxsize=64)
def _plan(pattern: tuple[Pool, ...]) -> list[_Step]:
    """Of each slot: its pool, is it for flows, is it for fresh videos, pools of videos to try, what is ahead."""
    return [
        (pool, pool is _FLOW, pool is _FRESH, ladder(pool, Kind.VIDEO), ahead)
        for pool, ahead in zip(pattern, counts_behind(pattern), strict=True)
    ]
