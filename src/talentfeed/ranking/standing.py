"""Which rule keeps each item of the catalogue from a slot, after the fact: to explain a feed, not to make one.

It is SPEC 7 asked anew of every item at every slot, and shares nothing with the slate, so that the one checks the
other: the probability that follows from it must be the one that was kept (see the tests). Slow and plain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import (
    CREATOR_WINDOW,
    N_SKILLS,
    NEW_DAYS,
    NO_DATE,
    NO_TOKEN,
    SECONDS_PER_DAY,
    Bools,
    FeedRequest,
    Kind,
    Pool,
    Slot,
    Snapshot,
    Viewer,
)
from talentfeed.ranking.rules import SPARE, band

# Why an item does not stand at a slot: the first that applies. 0: it may.
REASONS = ("", "excluded", "already_in_feed", "already_seen", "creator_window", "skill_diversity", "new_content")
_EXCLUDED, _SERVED, _SEEN, _WINDOW, _DIVERSITY, _NEWNESS = range(1, len(REASONS))
# keep new videos for the fresh slots to come, rule 5, rule 4: what the slate tries, one after the other
_STRICTNESS = ((True, True, True), (False, True, True), (False, False, True), (False, True, False), (False,) * 3)

Codes = NDArray[np.int8]  # (n,) into REASONS


@dataclass(frozen=True, slots=True)
class Standing:
    """A slot before its choice."""

    kind: Kind | None  # that the choice is of; None: nothing is left
    reasons: Mapping[Kind, Codes]  # under the rules as far as they hold here
    comes_back: bool  # nothing unseen may stand: the oldest interaction is taken

    def admissible(self, kind: Kind) -> Bools:
        """What may stand, (n,)."""
        free: Bools = self.reasons[kind] == 0
        return free


class Rules:
    """A feed's rules, slot by slot: `at` a slot, then `serve` what was chosen there."""

    def __init__(self, snapshot: Snapshot, viewer: Viewer, request: FeedRequest, *, now: float) -> None:
        videos, flows = snapshot.videos, snapshot.flows
        kinds = {"total": (Kind.VIDEO, Kind.FLOW), "discover": (Kind.VIDEO,), "flow": (Kind.FLOW,)}[request.endpoint]
        ids = {Kind.VIDEO: videos.id, Kind.FLOW: flows.id}
        seen = {Kind.VIDEO: viewer.seen_videos, Kind.FLOW: viewer.seen_flows}
        creator = {Kind.VIDEO: videos.creator, Kind.FLOW: flows.creator}
        self.kinds = kinds
        self.plan: Sequence[Pool] = list(islice(cycle(request.pattern), request.size))
        self.new = is_new(snapshot, now)
        self.excluded = {kind: np.isin(ids[kind], request.excluded_ids) for kind in kinds}
        self.seen = {kind: _mask(len(ids[kind]), seen[kind]) for kind in kinds}
        self._served = {kind: np.zeros(len(ids[kind]), np.bool_) for kind in kinds}
        self._creator = {kind: np.asarray(creator[kind]) for kind in kinds}
        self._n_creators = snapshot.n_creators
        self._places: list[Sequence[int]] = [tuple(place) for place in request.recent_creators]
        self._skills = np.asarray(videos.tokens)[:, :N_SKILLS]
        self._used = np.zeros(snapshot.skills.n + 1, np.bool_)
        self._used[NO_TOKEN] = True  # padding is never a new skill
        self._mentions = 0

    def at(self, number: int) -> Standing:
        """The rules as far as the slot keeps them: whole if anything may stand, else relaxed one by one."""
        planned = self.plan[number]
        own = Kind.FLOW if planned is Pool.FLOW else Kind.VIDEO
        order = sorted(self.kinds, key=lambda kind: kind is not own)
        away = {kind: self._places_since(kind) for kind in order}
        diverse = self._not_diverse() if Kind.VIDEO in order else None
        waiting = self._waiting(number, away[Kind.VIDEO]) if Kind.VIDEO in order else None
        if waiting is not None:
            kind = order[0]
            blocked = {kind: away[kind] < CREATOR_WINDOW for kind in order}
            only = self._only_new(number, keep_for_fresh=True)
            reasons = {kind: self._reasons(kind, blocked[kind], diverse, only) for kind in order}
            others = np.isin(self._creator[kind], waiting) & (reasons[kind] == 0)
            if kind is Kind.VIDEO:
                others &= ~self.new
            reasons[kind][others] = _NEWNESS
            if (reasons[kind] == 0).any():
                return Standing(kind, reasons, comes_back=False)
        for window in range(CREATOR_WINDOW, 0, -1):
            blocked = {kind: away[kind] < window for kind in order}
            for keep_for_fresh, rule5, rule4 in _STRICTNESS:
                only = self._only_new(number, keep_for_fresh=keep_for_fresh) if rule5 else None
                reasons = {kind: self._reasons(kind, blocked[kind], diverse if rule4 else None, only) for kind in order}
                for kind in order:
                    waits = keep_for_fresh and kind is Kind.FLOW and planned is not Pool.FLOW
                    if not waits and (reasons[kind] == 0).any():
                        return Standing(kind, reasons, comes_back=False)
            for kind in order:
                if (self._left(kind) & self.seen[kind] & ~blocked[kind]).any():
                    return Standing(kind, reasons, comes_back=True)
        return Standing(None, reasons, comes_back=False)

    def serve(self, slot: Slot) -> None:
        """What stands at the slot."""
        self._served[slot.kind][slot.index] = True
        self._places.append((int(self._creator[slot.kind][slot.index]),))
        if slot.kind is Kind.VIDEO:
            skills = self._skills[slot.index]
            self._mentions += int(np.count_nonzero(skills != NO_TOKEN))
            self._used[skills] = True

    def _left(self, kind: Kind) -> Bools:
        left: Bools = ~(self.excluded[kind] | self._served[kind])
        return left

    def _unseen(self, kind: Kind) -> Bools:
        return self._left(kind) & ~self.seen[kind]

    def _reasons(self, kind: Kind, blocked: Bools, not_diverse: Bools | None, only: bool | None) -> Codes:
        codes = np.zeros(len(blocked), np.int8)  # written from the last reason to the first
        if kind is Kind.VIDEO:
            if only is not None:
                codes[self.new != only] = _NEWNESS
            if not_diverse is not None:
                codes[not_diverse] = _DIVERSITY
        codes[blocked] = _WINDOW
        codes[self.seen[kind]] = _SEEN
        codes[self._served[kind]] = _SERVED
        codes[self.excluded[kind]] = _EXCLUDED
        return codes

    def _places_since(self, kind: Kind) -> NDArray[np.int64]:
        """Rule 3, (n,): 1 if the last item is by the same creator; 12 where the rule is kept."""
        away = np.full(self._n_creators, CREATOR_WINDOW, np.int64)
        recent = self._places[-(CREATOR_WINDOW - 1) :]
        for number, place in enumerate(recent):
            away[list(place)] = len(recent) - number
        since: NDArray[np.int64] = away[self._creator[kind]]
        return since

    def _not_diverse(self) -> Bools:
        """Rule 4, (videos,): with it, distinct skills would be fewer than 3/5 of the mentions."""
        own = (self._skills != NO_TOKEN).sum(axis=1)
        distinct = int(self._used.sum()) - 1 + (~self._used[self._skills]).sum(axis=1)
        fails: Bools = (own > 0) & (5 * distinct < 3 * (self._mentions + own))
        return fails

    def _waiting(self, number: int, away: NDArray[np.int64]) -> Sequence[int] | None:
        """Creators whose other items wait, because hardly more than the feed still needs can bring a new video."""
        new_served, _, low, _ = self._bounds(number)
        free = self._unseen(Kind.VIDEO) & self.new & (away >= CREATOR_WINDOW)
        makers: Sequence[int] = np.unique(self._creator[Kind.VIDEO][free]).tolist()
        return makers if 0 < len(makers) <= low - new_served + SPARE and low > new_served else None

    def _bounds(self, number: int) -> tuple[int, int, int, int]:
        """Rule 5 at a slot: new videos served, places of videos left, fewest and most new ones."""
        ahead = self.plan[number + 1 :]
        flow_slots = sum(pool is Pool.FLOW for pool in ahead)
        flows_left = int(self._unseen(Kind.FLOW).sum()) if Kind.FLOW in self.kinds else 0
        places = 1 + len(ahead) - flow_slots + max(flow_slots - flows_left, 0)
        places = min(places, int(self._left(Kind.VIDEO).sum()))
        served, unseen = self._served[Kind.VIDEO], self._unseen(Kind.VIDEO)
        videos = int(served.sum()) + places
        new_served = int((served & self.new).sum())
        new_left, left = int((unseen & self.new).sum()), int(unseen.sum())
        low, high = band(videos)
        return new_served, places, min(low, new_served + new_left), max(high, new_served + places - (left - new_left))

    def _only_new(self, number: int, *, keep_for_fresh: bool) -> bool | None:
        """Rule 5: whether a video here must be new (True) or must not (False), for the feed to end within its band."""
        if Kind.VIDEO not in self.kinds:
            return None
        ahead = self.plan[number + 1 :]
        new_served, places, low, high = self._bounds(number)
        if new_served >= high:
            return False
        if low - new_served >= places:
            return True
        fresh_ahead = sum(pool is Pool.FRESH for pool in ahead)
        if keep_for_fresh and self.plan[number] is not Pool.FRESH and new_served + fresh_ahead >= high:
            return False
        return None


def is_new(snapshot: Snapshot, now: float) -> Bools:
    """Which videos are younger than 45 days, (videos,)."""
    created = np.asarray(snapshot.videos.created_at)
    days = np.maximum(now - created, 0.0) / SECONDS_PER_DAY
    new: Bools = (created != NO_DATE) & (days < NEW_DAYS)
    return new


def _mask(size: int, rows: NDArray[np.int32]) -> Bools:
    mask = np.zeros(size, np.bool_)
    mask[rows] = True
    return mask
