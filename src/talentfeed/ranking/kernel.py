"""A catalogue and a policy in the compiled kernel, and a request's way through it, stage by stage."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, cycle, islice

import numpy as np

from talentfeed.contracts import CREATOR_WINDOW, FeedRequest, Floats, Ints, Kind, Pool, Rule, Slate, Slot, Viewer
from talentfeed.errors import PolicyError, RequestMisfitError
from talentfeed.ranking import board, features, native
from talentfeed.ranking.board import Board
from talentfeed.ranking.catalogue import Arranged
from talentfeed.ranking.learned import Learned
from talentfeed.ranking.presets import Preset

_PLACES = CREATOR_WINDOW - 1
_RULES = tuple(Rule)
_BROKEN = [tuple(rule for place, rule in enumerate(_RULES) if bits >> place & 1) for bits in range(1 << len(_RULES))]
_FIRST = 256  # measured: fewer leave the bar low, more are looked at in vain
_ROOMS = 8  # kept between requests
_KINDS = _VIDEO, _FLOW = (Kind.VIDEO, Kind.FLOW)
_POOLS = native.POOLS
_NO_ROWS = np.zeros(0, np.int32)
_NOBODY = ((-1, -1), (-1,), ())  # what fills a place up, by how many stand there
_LISTS = ("skills", "tokens", "cities", "connections", "seen videos", "seen flows", "shown flows", "evidence")
_NOTHING = FeedRequest(
    endpoint="total",
    pattern=(),
    size=0,
    excluded_ids=np.zeros(0, np.int64),
    recent_creators=(),
    shown_flows=_NO_ROWS,
)


class Kernel:
    """What a request needs of a snapshot and a policy. Any number of threads may ask."""

    def __init__(
        self,
        arranged: Arranged,
        boards: Mapping[Pool, Board],
        learned: Learned | None,
        preset: Preset,
        *,
        epsilon: float,
        most_influence: float,
    ) -> None:
        """`learned` takes the boards' place.

        Raises KernelMissingError, and PolicyError for a preset with shortlists out of bounds or negative noise.
        """
        self.library = native.library()
        for pool in native.LEARNING:
            if not 0 < preset.of(pool).shortlist <= native.MOST_LISTED:
                raise PolicyError(f"preset {preset.name}: {pool} has more than {native.MOST_LISTED} places, or none")
            if (among := preset.of(pool).among) is not None and among < 1:
                raise PolicyError(f"preset {preset.name}: {pool} draws among {among}; it takes one at the least")
        if not preset.feature_noise >= 0.0:
            raise PolicyError(f"preset {preset.name}: feature_noise {preset.feature_noise}: a width is not negative")
        self.catalogue = c = native.Catalogue()
        arranged.point(c)
        for number, pool in enumerate(native.LEARNING):
            c.boards[number].size = preset.of(pool).shortlist
            c.boards[number].among = preset.of(pool).among or native.MOST_LISTED
            if pool in boards:
                boards[pool].point(c.boards[number])
        if learned is not None:
            learned.point(c.learned)
        c.first = _FIRST
        c.since, c.most_influence = board.since(arranged), most_influence
        c.feature_noise, c.epsilon = preset.feature_noise, epsilon
        c.flow_noise, c.flow_recency, c.flow_size = preset.flow.noise, preset.flow.recency, preset.flow.shortlist
        self.epoch, self.at = arranged.epoch, native.pointer(native.place(c))
        self.arranged, self._alive = arranged, (boards, learned)
        self.learned = learned is not None
        self._fresh = arranged.fresh()
        self._sizes = [*(preset.of(pool).shortlist for pool in native.LEARNING), max(c.n_flows, c.flow_size)]
        self._desks: list[native.Desk] = []

    def ask(
        self,
        viewer: Viewer,
        request: FeedRequest,
        kinds: Sequence[Kind],
        *,
        now: float,
        seed: int,
        draw_seed: int | None = None,
        prune: bool = True,
    ) -> "Asked":
        """A request on its way; to be ended with `leave`.

        Raises RequestMisfitError if the viewer or the request was not made from this snapshot.
        """
        try:
            desk = self._desks.pop()
        except IndexError:  # all are in use
            desk = native.Desk(self.catalogue, *self._fresh, self._sizes)
        return Asked(self, desk, viewer, request, kinds, now=now, seed=seed, draw_seed=draw_seed, prune=prune)

    def look(self, viewer: Viewer, *, now: float, seed: int) -> "Asked":
        """As `ask`, for scores alone."""
        return self.ask(viewer, _NOTHING, (), now=now, seed=seed)

    def leave(self, desk: native.Desk) -> None:
        """Take a room back."""
        if len(self._desks) < _ROOMS:
            self._desks.append(desk)


class Asked:
    """A request on its way: its slate, or the stages before that in their order. After an error its room is not used
    again."""

    __slots__ = ("_alive", "_at", "_desk", "_kernel", "_library", "_plan")

    def __init__(
        self,
        kernel: Kernel,
        desk: native.Desk,
        viewer: Viewer,
        request: FeedRequest,
        kinds: Sequence[Kind],
        *,
        now: float,
        seed: int,
        draw_seed: int | None,
        prune: bool,
    ) -> None:
        self._kernel, self._library, self._desk = kernel, kernel.library, desk
        self._plan, pattern, pattern_at = _plan(tuple(request.pattern), request.size)
        lists = (
            viewer.skills,
            viewer.tokens,
            viewer.cities,
            viewer.connections,
            viewer.seen_videos,
            viewer.seen_flows,
            request.shown_flows,
            viewer.evidence,
            _recent(request.recent_creators) if request.recent_creators else _NO_ROWS,
        )
        counts = tuple(map(len, lists))
        whole = np.concatenate(lists, dtype=np.int32, casting="same_kind")
        starts = accumulate(counts, lambda at, n: at + 4 * n, initial=native.address(whole))
        skills, tokens, cities, connections, seen_videos, seen_flows, shown, evidence, recent, _ = starts
        excluded = np.ascontiguousarray(request.excluded_ids, np.int64)
        weights = np.ascontiguousarray(viewer.skill_weights, np.float64)
        if len(weights) != len(viewer.skills):
            raise RequestMisfitError(f"a viewer of {len(viewer.skills)} skills with {len(weights)} weights")
        desk.pack(
            *(skills, tokens, cities, connections, seen_videos, seen_flows, shown, evidence),
            *(native.address(weights), native.address(excluded), recent, pattern_at),
            *counts[:8],
            *(len(excluded), counts[8] // 2, len(self._plan), viewer.has_skills),
            *(_VIDEO in kinds, _FLOW in kinds, kinds == (_FLOW,), prune),
            *native.split(seed),
            *native.split(seed if draw_seed is None else draw_seed),
            *(viewer.influence, now, features.decay(kernel.epoch, now)),
        )
        self._alive = (whole, excluded, weights, pattern)
        self._at = (kernel.at, desk.request_at, desk.room_at)
        misfit = self._library.talentfeed_misfit(*self._at[:2])
        if misfit:
            raise RequestMisfitError(
                f"{_LISTS[misfit - 1]} that this snapshot cannot have; read viewer and request from the one ranked"
            )

    def leave(self) -> None:
        """Give the room back."""
        self._kernel.leave(self._desk)

    def candidates(self) -> None:
        """Who may enter."""
        self._library.talentfeed_candidates(*self._at)

    def video_pools(self) -> None:
        """The shortlists of the pools that learn."""
        if self._kernel.learned:
            self._library.talentfeed_learned_shortlists(*self._at)
        else:
            self._library.talentfeed_shortlists(*self._at)

    def retrieved(self) -> dict[Pool, Ints]:
        """Under `learned`, after `candidates`: the rows of each pool that are scored, the best by the blend."""
        self._library.talentfeed_retrieve(*self._at)
        return {pool: self._desk.retrieved(pool) for pool in native.LEARNING}

    def slate(self) -> Slate:
        """All stages in one call, each of which takes as long as a short stage."""
        desk, plan = self._desk, self._plan
        room = desk.slots(len(plan))
        n = self._library.talentfeed_feed(*self._at, native.pointer(native.address(room)), desk.within_at)
        excluded, seen = desk.room.removed
        # column by column: NumPy's own way of taking records apart takes four times as long
        fields = native.slots_in(n).unpack_from(room)  # type: ignore[arg-type]  # an array is a buffer
        kinds, rows, pools, explored, gave_way, probabilities = (fields[place::6] for place in range(6))
        broken = 0
        for bits in set(gave_way):
            broken |= bits
        broken = broken & ~1 if desk.within.value else broken | 1
        slots = list(
            map(
                Slot,
                map(_KINDS.__getitem__, kinds),
                rows,
                map(_POOLS.__getitem__, pools),
                plan,
                probabilities,
                map(bool, explored),
                map(_BROKEN.__getitem__, gave_way),
            )
        )
        removed = {"excluded": excluded, "already_seen": seen}
        return Slate(slots=slots, gave_way=list(_BROKEN[broken]), removed=removed)

    def listed(self, pool: Pool) -> tuple[Ints, Floats]:
        """A shortlist's rows and scores, best first."""
        return self._desk.listed(pool)

    def likely(self) -> Floats:
        """Under `learned`: log-odds by the blend that the viewer likes each video."""
        self._library.talentfeed_likely(*self._at)
        return self._desk.likely

    @property
    def looked(self) -> int:
        """How many scores `video_pools` has taken."""
        return int(self._desk.room.looked)

    def scores(self, pool: Pool) -> Floats:
        """Of every video in a learning pool."""
        found = np.empty(self._kernel.catalogue.n_videos)
        if self._kernel.learned:
            self._library.talentfeed_likely(*self._at)
            self._library.talentfeed_learned_scores(*self._at, native.pointer(native.address(found)))
            return found
        number = native.whole(native.LEARNING.index(pool))
        self._library.talentfeed_scores(*self._at, number, native.pointer(native.address(found)))
        return found

    def moving(self, rows: Ints) -> Floats:
        """The columns that move, of some videos; under `learned` all features.

        Raises IndexError where one is not there.
        """
        if len(rows) and not 0 <= rows.min() <= rows.max() < self._kernel.catalogue.n_videos:
            raise IndexError(f"rows {rows.min()}..{rows.max()} of {self._kernel.catalogue.n_videos} videos")
        found = np.empty((len(rows), native.N_SCALED if self._kernel.learned else native.N_MOVING))
        rows = np.ascontiguousarray(rows, np.int64)
        at, to = native.pointer(native.address(rows)), native.pointer(native.address(found))
        if self._kernel.learned:
            self._library.talentfeed_likely(*self._at)
            self._library.talentfeed_scaled(*self._at, at, native.whole(len(rows)), to)
        else:
            self._library.talentfeed_moving(*self._at, at, native.whole(len(rows)), to)
        return found

    def flow_scores(self) -> Floats:
        """Of every flow."""
        found = np.empty(self._kernel.catalogue.n_flows)
        self._library.talentfeed_flow_scores(*self._at[:2], native.pointer(native.address(found)))
        return found


@lru_cache(maxsize=64)
def _plan(pattern: tuple[Pool, ...], size: int) -> tuple[tuple[Pool, ...], np.ndarray, int]:
    """The pool of each slot; its number, and where these stand."""
    plan = tuple(islice(cycle(pattern), size))
    numbers = np.array([_POOLS.index(pool) for pool in plan], np.uint8)
    return plan, numbers, native.address(numbers)


def _recent(creators: Sequence[Sequence[int]]) -> np.ndarray:
    """(2 places,) int32: who stands at each of the last places, -1 where nobody."""
    last, codes = creators[-_PLACES:], list[int]()
    try:
        for here in last:
            codes += here
            codes += _NOBODY[len(here)]
        return np.array(codes, np.int32)
    except (IndexError, OverflowError):
        raise RequestMisfitError(f"recent creators {last!r}: a place has at most two codes, of 32 bits") from None
