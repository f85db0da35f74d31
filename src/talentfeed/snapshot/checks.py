"""What must hold of a snapshot before it is published, so that a bad one never replaces a good one."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import N_FEATURES, N_TOKENS, NO_CREATOR, Manifest, Snapshot
from talentfeed.errors import SnapshotError

COMPARED = ("videos", "flows", "users", "interactions", "connections")
SMALL_CHANGE = 10  # so many rows fewer are no alarm, however few there were, unless none is left


def check(snapshot: Snapshot, last: Manifest | None = None, *, shrink: float = 0.5, force: bool = False) -> None:
    """Raise SnapshotError listing all that is wrong.

    last: the manifest that this one would replace; no count may be less than (1 - shrink) of what it was. `force`
    leaves that comparison out, never the others.
    """
    wrong = [*_not_finite(snapshot), *_out_of_range(snapshot), *_bad_pointers(snapshot), *_bad_shapes(snapshot)]
    if last is not None and not force:
        wrong += _shrunk(snapshot.manifest.counts, last.counts, shrink)
    if wrong:
        raise SnapshotError("the snapshot did not pass its checks and was not published: " + "; ".join(wrong))


def _named(snapshot: Snapshot) -> Iterator[tuple[str, NDArray[Any]]]:
    for part in (snapshot.videos, snapshot.flows, snapshot.users):
        for f in fields(part):
            yield f"{type(part).__name__.lower()}.{f.name}", getattr(part, f.name)
    yield "skills.similarity", snapshot.skills.similarity


def _not_finite(snapshot: Snapshot) -> Iterator[str]:
    for name, array in _named(snapshot):
        if array.dtype.kind == "f" and (bad := int(np.count_nonzero(~np.isfinite(array)))):
            yield f"{name}: {bad} values are not finite"


def _out_of_range(snapshot: Snapshot) -> Iterator[str]:
    videos, flows, users, manifest = snapshot.videos, snapshot.flows, snapshot.users, snapshot.manifest
    n_cities, n_tokens, n_creators = len(manifest.cities), len(manifest.tokens), snapshot.n_creators
    for name, array, low, high in (
        ("videos.creator", videos.creator, 0, n_creators),
        ("videos.city", videos.city, 0, n_cities),
        ("videos.tokens", videos.tokens, 0, n_tokens),
        ("flows.creator", flows.creator, 0, n_creators),
        ("flows.city", flows.city, 0, n_cities),
        ("users.city", users.city, 0, n_cities),
        ("users.creator", users.creator, NO_CREATOR, n_creators),
        ("users.profile", users.profile, -1, n_tokens),
        ("users.history_video", users.history_video, 0, len(videos.id)),
        ("users.flow_history", users.flow_history, 0, len(flows.id)),
        ("users.connection", users.connection, 0, len(users.id)),
    ):
        bad = int(np.count_nonzero((array < low) | (array >= high)))
        if bad:
            yield f"{name}: {bad} references point outside {low}..{high - 1}"
    for name, ids in (("videos.id", videos.id), ("flows.id", flows.id), ("users.id", users.id)):
        if np.any(np.diff(ids) <= 0):
            yield f"{name}: not ascending, or an id twice"


def _bad_pointers(snapshot: Snapshot) -> Iterator[str]:
    videos, flows, users = snapshot.videos, snapshot.flows, snapshot.users
    for name, start, rows, values in (
        ("videos.json_start", videos.json_start, len(videos.id), videos.json),
        ("videos.url_start", videos.url_start, len(videos.id), videos.url),
        ("flows.json_start", flows.json_start, len(flows.id), flows.json),
        ("flows.url_start", flows.url_start, len(flows.id), flows.url),
        ("users.profile_start", users.profile_start, len(users.id), users.profile),
        ("users.history_start", users.history_start, len(users.id), users.history_video),
        ("users.flow_history_start", users.flow_history_start, len(users.id), users.flow_history),
        ("users.connection_start", users.connection_start, len(users.id), users.connection),
    ):
        if len(start) != rows + 1 or start[0] != 0 or start[-1] != len(values) or np.any(np.diff(start) < 0):
            yield f"{name}: no row pointers of {rows} rows into {len(values)} values"


def _bad_shapes(snapshot: Snapshot) -> Iterator[str]:
    videos, flows, users, n = snapshot.videos, snapshot.flows, snapshot.users, len(snapshot.videos.id)
    for name, array, shape in (
        ("videos.creator", videos.creator, (n,)),
        ("videos.created_at", videos.created_at, (n,)),
        ("videos.city", videos.city, (n,)),
        ("videos.tokens", videos.tokens, (n, N_TOKENS)),
        ("videos.features", videos.features, (n, N_FEATURES)),
        ("videos.skill_norm", videos.skill_norm, (n,)),
        ("flows.creator", flows.creator, flows.id.shape),
        ("flows.created_at", flows.created_at, flows.id.shape),
        ("flows.city", flows.city, flows.id.shape),
        ("users.city", users.city, users.id.shape),
        ("users.creator", users.creator, users.id.shape),
        ("users.history_liked", users.history_liked, users.history_video.shape),
        ("users.history_kind", users.history_kind, users.history_video.shape),
        ("users.history_at", users.history_at, users.history_video.shape),
        ("skills.similarity", snapshot.skills.similarity, (snapshot.skills.n, snapshot.skills.n)),
    ):
        if array.shape != shape:
            yield f"{name}: shape {array.shape} where {shape} belongs"


def _shrunk(now: Mapping[str, int], before: Mapping[str, int], shrink: float) -> Iterator[str]:
    for kind in COMPARED:
        had, has = before.get(kind, 0), now.get(kind, 0)
        if (has == 0 < had) or (has < had * (1 - shrink) and had - has > SMALL_CHANGE):
            yield f"{kind}: {has} where the current snapshot has {had}; if that is right, build with --force"
