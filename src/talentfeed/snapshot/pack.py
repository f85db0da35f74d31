"""Tables → the arrays of a snapshot, in the orders that `contracts` promises. The same tables give the same bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from talentfeed.contracts import (
    N_FEATURES,
    N_TOKENS,
    NO_CREATOR,
    NO_DATE,
    SCHEMA_VERSION,
    UNKNOWN_CITY,
    Bytes,
    Floats,
    Flows,
    Indices,
    Ints,
    Manifest,
    Skills,
    Snapshot,
    Users,
    Videos,
)
from talentfeed.snapshot import bodies
from talentfeed.snapshot.arriving import KEPT, KINDS
from talentfeed.snapshot.frames import Frames, left_out
from talentfeed.snapshot.numbering import rows_of
from talentfeed.snapshot.workbench import Workbench

_FIRST_OF_KIND = np.cumsum((0, *KEPT[:-1]))  # column of `Videos.tokens` where each kind begins

Columns = dict[str, Any]


def pack(
    bench: Workbench, frames: Frames, n_texts: int, *, media_base_url: str, as_of: float | None = None
) -> Snapshot:
    """Sort, number and encode everything but the signals; the result is not yet sealed."""
    users, videos = _by_id(bench.fetch("users")), _by_id(bench.fetch("scored"))
    flows = _by_id(bench.fetch("flows").select(["id", "user_id", "created_at", "city"]))
    tokens = _columns(bench.fetch("tokens"))
    texts = [""] * (len(tokens["token"]) + 1)
    for token, text in zip(tokens["token"], tokens["text"], strict=True):
        texts[token] = text
    n_skills = int(np.count_nonzero(tokens["kind"] == 0))

    creators, video_creator, flow_creator, n_creators = _creators(videos["user_id"], flows["user_id"])
    video_tokens = _video_tokens(videos["id"], _columns(bench.fetch("video_tokens")))
    similarity = _similarity(_columns(bench.fetch("cooccurrence")), n_skills)
    video_bodies, video_urls = _encoded(bench.fetch("videos"), bodies.resume, media_base_url)
    flow_bodies, flow_urls = _encoded(bench.fetch("flows"), bodies.challenge, media_base_url)

    packed_videos = Videos(
        id=videos["id"],
        creator=video_creator,
        created_at=_times(videos["created_at"]),
        city=_codes(videos["city"]),
        tokens=video_tokens,
        features=_features(videos),
        skill_norm=_skill_norm(video_tokens[:, : KEPT[0]], similarity),
        json=video_bodies[0],
        json_start=video_bodies[1],
        url=video_urls[0],
        url_start=video_urls[1],
    )
    packed_flows = Flows(
        id=flows["id"],
        creator=flow_creator,
        created_at=_times(flows["created_at"]),
        city=_codes(flows["city"]),
        json=flow_bodies[0],
        json_start=flow_bodies[1],
        url=flow_urls[0],
        url_start=flow_urls[1],
    )
    packed_users = _users(bench, n_texts, users, video_ids=videos["id"], flow_ids=flows["id"], creators=creators)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        version="",
        watermark=frames.watermark,
        counts={
            "videos": len(packed_videos.id),
            "flows": len(packed_flows.id),
            "users": len(packed_users.id),
            "interactions": len(packed_users.history_video),
            "flow_interactions": len(packed_users.flow_history),
            "connections": len(packed_users.connection) // 2,
            "views": int(videos["views"].sum()),
            "skills": n_skills,
            "tokens": len(texts) - 1,
            "cities": len(frames.cities),
            "creators": n_creators,
        },
        skipped=left_out(bench, frames),
        checksums={},
        media_base_url=media_base_url,
        cities=frames.cities,
        tokens=texts,
        as_of=as_of,
    )
    return Snapshot(
        manifest=manifest,
        videos=packed_videos,
        flows=packed_flows,
        users=packed_users,
        skills=Skills(n=n_skills, similarity=similarity),
        n_creators=n_creators,
    )


def _columns(table: pa.Table) -> Columns:
    """Column name → NumPy array; numbers with nulls are floats with NaN, texts are objects with None."""
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _by_id(table: pa.Table) -> Columns:
    columns = _columns(table)
    order = np.argsort(columns["id"], kind="stable")
    return {name: values[order] for name, values in columns.items()} | {"id": columns["id"][order].astype(np.int64)}


def _times(seconds: NDArray[Any]) -> Floats:
    times = seconds.astype(np.float64)
    return np.where(np.isnan(times), NO_DATE, times)


def _codes(codes: NDArray[Any]) -> Indices:
    """City codes; the city of an item without creator is not known."""
    known = codes.astype(np.float64)
    return np.where(np.isnan(known), UNKNOWN_CITY, known).astype(np.int32)


def _creators(video_users: NDArray[Any], flow_users: NDArray[Any]) -> tuple[Ints, Indices, Indices, int]:
    """(ids of users who created something, by code; a code a video; a code a flow; number of codes).

    Users who created something come first, by id; an item without creator has a code of its own.
    """
    owners = np.concatenate([video_users, flow_users]).astype(np.float64)
    known = ~np.isnan(owners)
    ids = np.unique(owners[known].astype(np.int64))
    codes = np.empty(len(owners), np.int32)
    codes[known] = np.searchsorted(ids, owners[known].astype(np.int64))
    codes[~known] = len(ids) + np.arange(np.count_nonzero(~known))
    return ids, codes[: len(video_users)], codes[len(video_users) :], len(ids) + int(np.count_nonzero(~known))


def _video_tokens(ids: Ints, rows: Columns) -> Indices:
    packed = np.zeros((len(ids), N_TOKENS), np.int32)
    if len(rows["video_id"]):
        packed[np.searchsorted(ids, rows["video_id"]), _FIRST_OF_KIND[rows["kind"]] + rows["place"]] = rows["token"]
    return packed


def _similarity(rows: Columns, n: int) -> Floats:
    """E E^T from C C^T, whose entries are whole numbers: the same bits whatever the order of addition."""
    counts = np.zeros((n, n), np.float64)
    counts[rows["one"] - 1, rows["other"] - 1] = rows["videos"]
    products = counts @ counts.T
    lengths = np.sqrt(np.diagonal(products))
    similarity: Floats = products / np.outer(lengths, lengths)
    return similarity


def _skill_norm(skills: Indices, similarity: Floats) -> Floats:
    """Length of the sum of the skills' embeddings: the square is the sum of all their dot products."""
    padded = np.zeros((len(similarity) + 1, len(similarity) + 1))
    padded[1:, 1:] = similarity
    square = np.zeros(len(skills))
    for one in skills.T:
        for other in skills.T:
            square += padded[one, other]
    return np.sqrt(square)


def _features(v: Columns) -> Floats:
    features = np.zeros((len(v["id"]), N_FEATURES))
    for column, values in {
        0: v["engagement"],
        2: v["quality"],
        3: v["popularity"],
        4: v["skill_diversity"],
        9: v["log_views"] / 10,
        10: v["avg_rating"] / 5,
        11: v["skill_rarity"] / 100,
        12: v["passes_quality_gate"],
        14: v["rating_count"] / (v["rating_count"].max(initial=0) + 1),
        15: v["like_count"] / (v["like_count"].max(initial=0) + 1),
        16: v["exhibited_count"] / (v["exhibited_count"].max(initial=0) + 1),
    }.items():
        features[:, column] = values
    return features


def _encoded(frame: pa.Table, body: Any, media_base_url: str) -> tuple[tuple[Bytes, Ints], tuple[Bytes, Ints]]:
    """((bodies, starts), (URLs, starts)) of a frame's rows, by id."""
    rows = sorted(frame.to_pylist(), key=lambda row: row["id"])
    return _joined([body(row, media_base_url) for row in rows]), _joined([row["url"].encode() for row in rows])


def _joined(parts: Sequence[bytes]) -> tuple[Bytes, Ints]:
    return np.frombuffer(b"".join(parts), np.uint8), _starts(np.fromiter(map(len, parts), np.int64, len(parts)))


def _starts(lengths: NDArray[Any]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _users(bench: Workbench, n_texts: int, users: Columns, *, video_ids: Ints, flow_ids: Ints, creators: Ints) -> Users:
    """Row pointers and what they point into; every order is total, so that the same rows give the same bytes."""
    ids = users["id"]
    creator = np.full(len(ids), NO_CREATOR, np.int32)
    if len(ids):
        place = np.searchsorted(ids, creators)
        creator[place] = np.arange(len(creators), dtype=np.int32)

    profile_start, profile = _profiles(ids, _columns(bench.fetch("profiles")), _columns(bench.fetch("marks")), n_texts)

    h = _columns(bench.fetch("history"))
    owner, video, at, liked = rows_of(ids, h["user_id"]), rows_of(video_ids, h["video_id"]), _times(h["at"]), h["liked"]
    newest = np.lexsort((h["kind"], ~liked.astype(np.bool_), -video, -at, owner))
    history_start = _row_starts(owner, ids)

    f = _columns(bench.fetch("flow_history"))
    flow_owner, flow = rows_of(ids, f["user_id"]), rows_of(flow_ids, f["flow_id"])
    newest_flow = np.lexsort((-flow, -_times(f["at"]), flow_owner))

    c = _columns(bench.fetch("connections"))
    one, other = rows_of(ids, c["user_id"]), rows_of(ids, c["connected_user_id"])
    return Users(
        id=ids,
        city=_codes(users["city"]),
        creator=creator,
        profile_start=profile_start,
        profile=profile,
        history_start=history_start,
        history_video=video[newest].astype(np.int32),
        history_liked=liked[newest].astype(np.bool_),
        history_kind=h["kind"][newest].astype(np.int8),
        history_at=at[newest],
        flow_history_start=_row_starts(flow_owner, ids),
        flow_history=flow[newest_flow].astype(np.int32),
        connection_start=_row_starts(one, ids),
        connection=other[np.lexsort((other, one))].astype(np.int32),
    )


def _profiles(ids: Ints, profiles: Columns, marks: Columns, n_texts: int) -> tuple[Ints, Indices]:
    """(row pointers, tokens): each user's, ascending and distinct, after a -1 for each skill that no video has."""
    bits = int(marks["mark"].max(initial=0)).bit_length()
    listed = np.sort(marks["list"].astype(np.int64) << bits | marks["mark"])
    mark = listed & (1 << bits) - 1
    lists = [profiles[kind] for kind in KINDS]
    n_marks = np.bincount(listed >> bits, minlength=1 + max(int(codes.max(initial=-1)) for codes in lists))
    first = _starts(n_marks)
    owners = rows_of(ids, profiles["user_id"]) << bits
    found = []
    for codes in lists:
        has = codes >= 0
        code = codes[has]
        many = n_marks[code]
        # a list's marks stand together: its first, and one more each time
        place = np.arange(many.sum()) + np.repeat(first[code] - (np.cumsum(many) - many), many)
        found.append(np.repeat(owners[has], many) | mark[place])
    said = np.sort(np.concatenate(found))
    said = said[np.diff(said, prepend=-1) > 0]
    token = (said & (1 << bits) - 1) - n_texts
    return _row_starts(said >> bits, ids), np.maximum(token, -1).astype(np.int32)


def _row_starts(owner: Ints, ids: Ints) -> Ints:
    return _starts(np.bincount(owner, minlength=len(ids)))
