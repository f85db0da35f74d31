"""Half of the plain reference: the slots, with a mask over the whole catalogue for every rule. SPEC 7."""

from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import (
    CREATOR_WINDOW,
    NO_TOKEN,
    Bools,
    Floats,
    Indices,
    Ints,
    Kind,
    Pool,
    Rule,
    Slot,
)

SPARE = 2  # creators of new videos more than needed from which on none of their other items waits
# leave the rest of rule 5's upper bound to the fresh slots; keep rule 5; keep rule 4
_Rules = tuple[bool, bool, bool]
_ALL: tuple[_Rules, ...] = ((True, True, True), (False, True, True))
_FEWER: tuple[_Rules, ...] = ((False, False, True), (False, True, False), (False, False, False))


@dataclass
class Shortlist:
    """What a pool offers."""

    rows: Ints  # best first
    weights: Floats | None  # to draw by; None: the best


@dataclass
class Side:
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
    needed: int = 0  # new videos that the rest of the feed must bring


@dataclass
class Filling:
    """A feed half filled."""

    sides: dict[Kind, Side]
    lists: dict[Pool, Shortlist]
    new: Bools  # (videos,)
    skills: Indices  # (videos, N_SKILLS)
    n_skills: Ints  # (videos,)
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
        slot = None
        if bounds.needed > 0:
            makers = np.unique(self.sides[Kind.VIDEO].creator[free[Kind.VIDEO] & self.new])
            if 0 < len(makers) <= bounds.needed + SPARE:
                waits = np.isin(self.sides[kinds[0]].creator, makers)
                if kinds[0] is Kind.VIDEO:
                    waits &= ~self.new
                slot = attempt({kinds[0]: free[kinds[0]] & ~waits}, _ALL[:1])
        slot = slot or attempt(free, _ALL + _FEWER) or oldest({kind: left[kind] & ~blocked[kind] for kind in kinds})
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
        unused = ~self.used
        unused[NO_TOKEN] = False
        distinct = self.used.sum() + unused[self.skills].sum(axis=1)
        return np.asarray((self.n_skills == 0) | (5 * distinct >= 3 * (self.mentions + self.n_skills)))

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
        return _Bounds(kept, only, low - self.served_new)

    def _serve(self, kind: Kind, row: int) -> None:
        self.sides[kind].gone[row] = True
        self.window.append([int(self.sides[kind].creator[row])])
        if kind is Kind.VIDEO:
            skills = self.skills[row][self.skills[row] > 0]
            self.used[skills] = True
            self.mentions += len(skills)
            self.served_videos += 1
            self.served_new += int(self.new[row])
