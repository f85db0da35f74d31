"""The compiled part of the kernel: `native/*.c`, reached through ctypes. Structures here are the twins of `kernel.h`.

Memory belongs to NumPy on this side; the C side allocates nothing. A call holds the interpreter lock, and every feed in
work has a room of its own, so one `Kernel` serves any number of threads.
"""

import ctypes
import hashlib
import os
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import N_TOKENS, Floats, Ints, Pool
from talentfeed.errors import KernelMissingError
from talentfeed.evidence import SUITING

SOURCES = Path(__file__).parent / "native"
LIBRARY = Path(__file__).parent / "_kernel.so"
LANES, N_MOVING = 8, 7
N_SCALED, MOST_FACTORS = 20, 128
_WAY_OUT = "Run:  make setup   (or, in a checkout with its packages installed:  python hatch_build.py)"
MOST_LISTED = 1024  # places on a shortlist that is drawn from
POOLS = (Pool.POPULAR, Pool.AFFINITY, Pool.FRESH, Pool.FLOW, Pool.EXPLORE)  # by their numbers on the C side
LEARNING = POOLS[:3]

VIDEO = np.dtype(
    [
        ("tokens", np.int32, N_TOKENS),
        ("city", np.int32),
        ("creator", np.int32),
        ("inverse_norm", np.float64),
        ("dated", np.float64),
        ("decayed", np.float64),
        ("counter", np.uint64),
    ]
)
FLOW = np.dtype([("creator", np.int32), ("unused", np.int32), ("decayed", np.float64), ("counter", np.uint64)])
FIXED = np.dtype([("base", np.float64), ("width", np.float64), ("cross", np.float64, LANES)])
GLANCE = np.dtype(
    [
        ("bound", np.float32),
        ("rest", np.float32),
        ("decayed", np.float32),
        ("row", np.int32),
        ("counter", np.uint64),
    ]
)
SLOT = np.dtype(
    [
        ("kind", np.int32),
        ("row", np.int32),
        ("pool", np.int32),
        ("explored", np.int32),
        ("gave_way", np.int32),
        ("unused", np.int32),
        ("probability", np.float64),
    ]
)


@cache
def slots_in(n: int) -> struct.Struct:
    """Of so many slots in a row: kind, row, pool, explored, gave_way, probability each."""
    return struct.Struct("=" + "5i4xd" * n)


SCORED = np.dtype([("score", np.float64), ("row", np.int32), ("tier", np.int32)])

_P, _I, _D, _U = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double, ctypes.c_uint64


class _Struct(ctypes.Structure):
    """Pointers are addresses: who makes one keeps the array alive."""


class Board(_Struct):
    _fields_: ClassVar = [
        *((name, _P) for name in ("fixed", "glances", "places", "bounds")),
        ("members", _I),
        ("n", _I),
        ("size", _I),
        ("among", _I),
        ("only_new", _I),
        ("linear", _D * LANES),
        ("matrix", _D * LANES * LANES),
        ("alpha", _D),
        ("beta_variance", _D),
        ("recency", _D),
        ("fresh", _D),
        ("noise", _D),
    ]


class Learned(_Struct):
    _fields_: ClassVar = [
        *((name, _I) for name in ("on", "n_factors", "n_near")),
        *((name, _P) for name in ("factors", "gram", "warm", "cold", "apart", "near", "closeness", "fixed")),
        *((name, _D) for name in ("confidence", "als", "co_view")),
        *((name, _D * len(SUITING)) for name in ("profile", "taste")),
        ("scale", _D * N_MOVING),
        ("theta", _D * N_SCALED),
        ("root", _D * N_SCALED * N_SCALED),
        ("alpha", _D),
        ("beta_variance", _D),
        ("most", _I * len(LEARNING)),
    ]


class Postings(_Struct):
    _fields_: ClassVar = [("start", _P), ("entries", _P)]


class Catalogue(_Struct):
    _fields_: ClassVar = [
        *((name, _I) for name in ("n_videos", "n_flows", "n_creators", "n_skills", "n_tokens", "n_cities")),
        *((name, _P) for name in ("videos", "flows", "video_ids", "flow_ids", "skills", "points")),
        ("by_creator", Postings),
        ("by_token", Postings),
        *((name, _P) for name in ("by_date", "dates")),
        ("words", _I),
        *((name, _P) for name in ("of_size", "dense", "dense_of")),
        *((name, _D) for name in ("epoch", "since", "most_influence")),
        *((name, _D) for name in ("feature_noise", "flow_noise", "flow_recency", "epsilon")),
        ("flow_size", _I),
        ("first", _I),
        ("boards", Board * len(LEARNING)),
        ("learned", Learned),
    ]


class Request(_Struct):
    _fields_: ClassVar = [
        *((name, _P) for name in ("skills", "tokens", "cities", "connections")),
        ("seen", _P * 2),
        *((name, _P) for name in ("shown_flows", "evidence", "skill_weights", "excluded", "recent", "pattern")),
        *((name, _I) for name in ("n_skills", "n_tokens", "n_cities", "n_connections")),
        ("n_seen", _I * 2),
        *((name, _I) for name in ("n_shown", "n_evidence", "n_excluded", "n_recent", "n_slots", "has_skills")),
        ("wants", _I * 2),
        *((name, _I) for name in ("only_flows", "prune")),
        ("seed", _U * 2),
        ("draw_seed", _U * 2),
        *((name, _D) for name in ("influence", "now", "decay")),
    ]


_REQUEST = struct.Struct("=12Q16q4Q3d")


class Room(_Struct):
    _fields_: ClassVar = [
        *((name, _P) for name in ("toward", "points", "cities", "connections", "times")),
        *((name, _P) for name in ("makers", "maker_list")),
        ("unseen", _P * 2),
        ("seen", _P * 2),
        ("free", _P),
        ("digits", _P * 3),
        ("shares", _P * 3),
        ("failing", _P),
        *((name, _P) for name in ("fresh", "shown", "used")),
        *((name, _P) for name in ("near", "likely")),
        ("retrieved", _P * len(LEARNING)),
        ("n_retrieved", _I * len(LEARNING)),
        ("fresh_from", _I),
        ("listed", _P * 4),
        ("n_listed", _I * 4),
        ("removed", _I * 2),
        ("n_free", _I * 2),
        ("looked", _I),
    ]


class Reading(_Struct):
    _fields_: ClassVar = [
        *((name, _P) for name in ("watched", "liked", "profile", "connections")),
        *((name, _P) for name in ("video_tokens", "video_city", "user_city", "user_creator")),
        *((name, _I) for name in ("n_watched", "history", "n_profile", "n_connections", "own_city", "n_skills")),
        *((name, _I) for name in ("token_words", "city_words", "places")),
        *((name, _P) for name in ("counts", "tokens", "cities", "hashed")),
        *((name, _P) for name in ("seen", "skills", "known", "lived", "creators", "weights")),
        *((name, _I) for name in ("n_seen", "n_likes", "n_skills_found", "n_known", "n_lived", "n_creators")),
        ("mentions", _I),
    ]


_READING = struct.Struct("=8Q9q10Q")


def reading(*values: int) -> Reading:
    """With its first fields filled in this order."""
    found = Reading()
    _READING.pack_into(found, 0, *values)
    return found


@cache
def library() -> ctypes.PyDLL:
    """The compiled kernel. Raises KernelMissingError where it is not there, or not of this source."""
    if not LIBRARY.exists():
        raise KernelMissingError(f"{LIBRARY} is not there: the kernel is not compiled. {_WAY_OUT}")
    found = ctypes.PyDLL(os.fspath(LIBRARY))
    compiled_from = (ctypes.c_char * 64).in_dll(found, "talentfeed_source").value
    if SOURCES.is_dir() and compiled_from != digest().encode():
        raise KernelMissingError(f"{LIBRARY} was compiled from another source than {SOURCES}. {_WAY_OUT}")
    sizes = (_I * 10)()
    found.talentfeed_sizes(sizes)
    here = [dtype.itemsize for dtype in (VIDEO, FLOW, FIXED, GLANCE)] + [
        ctypes.sizeof(kind) for kind in (Board, Catalogue, Request, Room, Learned)
    ]
    found.talentfeed_reading_size.restype = _I
    if list(sizes) != [*here, SLOT.itemsize] or found.talentfeed_reading_size() != ctypes.sizeof(Reading):
        raise KernelMissingError(f"{LIBRARY} has other structures than {Path(__file__).name}. {_WAY_OUT}")
    for name in (
        *("candidates", "read", "shortlists", "scores", "moving", "flow_scores"),
        *("likely", "retrieve", "learned_shortlists", "learned_scores", "scaled"),
    ):
        getattr(found, f"talentfeed_{name}").restype = None
    found.talentfeed_feed.restype = found.talentfeed_misfit.restype = _I
    return found


def digest() -> str:
    """Of the sources, in hexadecimal."""
    whole = hashlib.sha256()
    for path in sorted(SOURCES.glob("*.[ch]")):
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


pointer = ctypes.c_void_p
place = ctypes.addressof
whole = ctypes.c_int64


_word = ctypes.c_size_t.from_address
_DATA = 2 * ctypes.sizeof(_P)  # in NumPy's array, whose layout is part of its ABI: behind what every object begins with
_PROBE = np.zeros(1)
_KNOWN = _word(id(_PROBE) + _DATA).value == _PROBE.ctypes.data  # elsewhere NumPy is asked, as it is of a subclass


def address(array: np.ndarray) -> int:
    """Where its memory begins. A feed asks ten times, and `array.ctypes` takes a microsecond each."""
    if _KNOWN and type(array) is np.ndarray:
        return _word(id(array) + _DATA).value
    found: int = array.ctypes.data
    return found


def fill(struct: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Point the fields of these names to the arrays."""
    for name, array in arrays.items():
        setattr(struct, name, address(array))


def split(seed: int) -> tuple[int, int]:
    """A seed of up to 128 bits as words, the low one first."""
    return seed & 0xFFFF_FFFF_FFFF_FFFF, seed >> 64 & 0xFFFF_FFFF_FFFF_FFFF


class Desk:
    """A room to work in, and the arrays it is made of."""

    def __init__(self, catalogue: Catalogue, fresh: np.ndarray, fresh_from: int, sizes: Sequence[int]) -> None:
        c = catalogue
        words, flow_words = c.words, (c.n_flows + 63) // 64
        self.room = Room(fresh_from=fresh_from)
        masks = np.zeros((10, words), np.uint64)
        flow_masks = np.zeros((3, flow_words), np.uint64)
        arrays = {
            "toward": np.zeros(c.n_skills + 1, np.complex128),
            "points": np.zeros(c.n_tokens, np.uint8),
            "cities": np.zeros(c.n_cities, np.uint8),
            "connections": np.zeros(c.n_creators, np.uint8),
            "times": np.zeros(c.n_creators, np.uint8),
            "makers": np.zeros(c.n_creators, np.int32),
            "maker_list": np.zeros(c.n_creators, np.int32),
            "free": masks[0],
            "failing": masks[9],
            "fresh": fresh.copy(),
            "shown": flow_masks[0],
            "used": np.zeros(c.n_skills + 1, np.uint8),
        }
        if c.learned.on:
            arrays |= {"near": np.zeros(c.n_videos, np.complex128), "likely": np.zeros(c.n_videos)}
            self._likely: Floats = arrays["likely"]
        fill(self.room, arrays)
        self.lists = [np.zeros(2 * size, SCORED) for size in sizes]  # as many behind them, to be sorted in
        self.room.listed = (_P * 4)(*map(address, self.lists))
        self._retrieved = [np.zeros(most, SCORED) for most in c.learned.most]
        self.room.retrieved = (_P * len(LEARNING))(*map(address, self._retrieved))
        self.room.unseen = (_P * 2)(address(masks[1]), address(flow_masks[1]))
        self.room.seen = (_P * 2)(address(masks[2]), address(flow_masks[2]))
        self.room.digits = (_P * 3)(*map(address, masks[3:6]))
        self.room.shares = (_P * 3)(*map(address, masks[6:9]))
        self._request, self.within = Request(), whole()
        self.room_at, self.request_at = pointer(place(self.room)), pointer(place(self._request))
        self.within_at = pointer(place(self.within))
        self._slots = np.zeros(0, SLOT)
        self._alive = (masks, flow_masks, arrays)

    def pack(self, *values: float) -> None:
        """Fill the request: every field in order, all of 8 bytes. Setting them one by one takes five times as long."""
        _REQUEST.pack_into(self._request, 0, *values)

    def slots(self, n: int) -> NDArray[np.void]:
        """Room for so many."""
        if len(self._slots) < n:
            self._slots = np.zeros(n, SLOT)
        return self._slots

    @property
    def likely(self) -> Floats:
        """Log-odds by the blend, (n,)."""
        return self._likely.copy()

    def retrieved(self, pool: Pool) -> Ints:
        """Rows that are scored, the best by the blend in any order."""
        number = LEARNING.index(pool)
        return self._retrieved[number][: self.room.n_retrieved[number]]["row"].astype(np.int64)

    def listed(self, pool: Pool) -> tuple[Ints, Floats]:
        """A shortlist's rows and scores, best first."""
        number = POOLS.index(pool)
        found = self.lists[number][: self.room.n_listed[number]]
        return found["row"].astype(np.int64), found["score"].copy()
