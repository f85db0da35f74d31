"""What must hold of a snapshot's arrays before it is ranked from.

The compiled kernel reads by the references in them, unchecked and millions at a time: what is said here once a snapshot
is all that keeps it within its memory. Its search relies on the form of the tokens too: a video that had one twice
would share more than it is counted for.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import N_FEATURES, N_SKILLS, N_TOKENS, NO_CREATOR, NO_TOKEN, Snapshot
from talentfeed.errors import SnapshotError
from talentfeed.ranking import sound_signals

# Of every part; the others are int32.
_TYPES: dict[type[np.generic], frozenset[str]] = {
    np.int64: frozenset(
        ("id", "json_start", "url_start", "profile_start", "history_start", "flow_history_start", "connection_start")
    ),
    np.float64: frozenset(("created_at", "features", "skill_norm", "history_at", "similarity")),
    np.bool_: frozenset(("history_liked",)),
    np.int8: frozenset(("history_kind",)),
    np.uint8: frozenset(("json", "url")),
}


def check(snapshot: Snapshot) -> None:
    """Raise SnapshotError listing all that is wrong. It reads every array but bodies and URLs, once."""
    wrong = list(faults(snapshot))
    if wrong:
        raise SnapshotError(
            f"snapshot {snapshot.manifest.version} is damaged: {'; '.join(wrong)}; `talentfeed build` makes a whole one"
        )


def faults(snapshot: Snapshot) -> Iterator[str]:
    """Everything that is wrong, in words."""
    forms = [*_bad_forms(snapshot)]
    yield from forms
    yield from _not_finite(snapshot)
    yield from _out_of_range(snapshot)
    yield from _bad_pointers(snapshot)
    if not forms:
        yield from _bad_tokens(snapshot)
    if snapshot.signals is not None:
        yield from sound_signals.faults(snapshot.signals, snapshot)


def _named(snapshot: Snapshot) -> Iterator[tuple[str, NDArray[Any]]]:
    for part in (snapshot.videos, snapshot.flows, snapshot.users):
        for f in fields(part):
            yield f"{type(part).__name__.lower()}.{f.name}", getattr(part, f.name)
    yield "skills.similarity", snapshot.skills.similarity


def _bad_forms(snapshot: Snapshot) -> Iterator[str]:
    for name, array in _named(snapshot):
        field = name.partition(".")[2]
        want = next((kind for kind, names in _TYPES.items() if field in names), np.int32)
        if array.dtype != want or not array.flags.c_contiguous:
            yield f"{name}: {array.dtype} where {np.dtype(want)} in one piece belongs"
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


def _bad_tokens(snapshot: Snapshot) -> Iterator[str]:
    tokens, n_skills = snapshot.videos.tokens, snapshot.skills.n
    skills, others = tokens[:, :N_SKILLS], tokens[:, N_SKILLS:]
    if n_skills >= len(snapshot.manifest.tokens):
        yield f"skills.similarity: {n_skills} skills where the manifest lists {len(snapshot.manifest.tokens)} tokens"
    misplaced = np.count_nonzero(skills > n_skills) + np.count_nonzero((others <= n_skills) & (others != NO_TOKEN))
    if misplaced:
        yield f"videos.tokens: {misplaced} skills where others belong, or others where skills do"
    if np.any((skills[:, :-1] == NO_TOKEN) & (skills[:, 1:] != NO_TOKEN)):
        yield "videos.tokens: a skill stands behind padding"
    in_order = np.sort(tokens, axis=1)
    if np.any((in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] != NO_TOKEN)):
        yield "videos.tokens: a video has a token twice"
