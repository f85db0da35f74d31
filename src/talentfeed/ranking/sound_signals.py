"""What must hold of a snapshot's signals: `sound` asks, for the compiled kernel reads by what stands in them."""

from collections.abc import Iterator

import numpy as np

from talentfeed.contracts import HISTORY, Snapshot
from talentfeed.evidence import ITEM_SIGNALS, SUITING, VIEWER_SIGNALS, Blend, Signals
from talentfeed.ranking import native


def faults(signals: Signals, snapshot: Snapshot) -> Iterator[str]:
    """Everything that is wrong with signals of this snapshot, in words."""
    n, users = len(snapshot.videos.id), len(snapshot.users.id)
    forms = [*_bad_forms(signals, n, users)]
    yield from forms
    if signals.factors.shape[-1] > native.MOST_FACTORS:
        yield f"signals.factors: {signals.factors.shape[-1]} columns; at most {native.MOST_FACTORS}"
    for name, rows in (("neighbour", signals.neighbour), ("event_video", signals.event_video)):
        bad = int(np.count_nonzero((rows < 0) | (rows >= n)))
        if bad:
            yield f"signals.{name}: {bad} references point outside 0..{n - 1}"
    if not forms:
        many = np.diff(signals.event_start)
        if signals.event_start[0] != 0 or signals.event_start[-1] != len(signals.event_video) or np.any(many < 0):
            yield f"signals.event_start: no row pointers of {users} rows into {len(signals.event_video)} values"
        elif np.any(many > HISTORY):
            yield f"signals.event_start: {int(many.max())} events of one user; at most {HISTORY}"
    yield from _bad_numbers(signals)


def _bad_forms(signals: Signals, n: int, users: int) -> Iterator[str]:
    f, k = signals.factors.shape[-1], signals.neighbour.shape[-1]
    for name, kind, shape in (
        ("items", np.float64, (n, len(ITEM_SIGNALS))),
        ("shown", np.float64, (n,)),
        ("rewarded", np.float64, (n,)),
        ("factors", np.float32, (n, f)),
        ("gram", np.float64, (f, f)),
        ("neighbour", np.int32, (n, k)),
        ("closeness", np.float32, (n, k)),
        ("apart", np.float64, (n,)),
        ("event_start", np.int64, (users + 1,)),
        ("event_video", np.int32, (len(signals.event_video),)),
    ):
        array = getattr(signals, name)
        if array.dtype != kind or array.shape != shape or not array.flags.c_contiguous:
            yield f"signals.{name}: {array.dtype} {array.shape} where {np.dtype(kind)} {shape} in one piece belongs"
        elif array.dtype.kind == "f" and (bad := int(np.count_nonzero(~np.isfinite(array)))):
            yield f"signals.{name}: {bad} values are not finite"


def _bad_numbers(signals: Signals) -> Iterator[str]:
    if not (np.isfinite(signals.prior).all() and min(signals.prior) > 0):
        yield f"signals.prior: {signals.prior}; both are finite and above 0"
    if not 1.0 <= signals.confidence < np.inf:
        yield f"signals.confidence: {signals.confidence}; it is finite and at least 1"
    yield from (f"signals.blend: {fault}" for fault in blend_faults(signals.blend))


def blend_faults(blend: Blend) -> Iterator[str]:
    """Everything that is wrong with a blend, in words."""
    for name, weights, known in (
        ("warm", blend.warm, (*ITEM_SIGNALS, *VIEWER_SIGNALS)),
        ("cold", blend.cold, ITEM_SIGNALS),
        ("taste", blend.taste, SUITING),
        ("profile", blend.profile, SUITING),
    ):
        if set(weights) != set(known):
            yield f"{name} has weights of {', '.join(sorted(weights)) or 'nothing'}; accepted: {', '.join(known)}"
    parts = (blend.warm, blend.cold, blend.taste, blend.profile)
    levels = (blend.warm_level, blend.cold_level, blend.taste_level, blend.profile_level)
    numbers = [value for part in parts for value in part.values()] + [*levels]
    if not np.isfinite(numbers).all():
        yield "a weight is not finite"
