"""Catalogue counts → the arrays of a snapshot. SPEC 4 in plain NumPy, for the factory."""

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import (
    N_FEATURES,
    N_KNOWLEDGES,
    N_SKILLS,
    N_TOOLS,
    SCHEMA_VERSION,
    Bytes,
    Floats,
    Flows,
    Indices,
    Ints,
    Manifest,
    Skills,
    Users,
    Videos,
)

NOW = 1_790_000_000.0
MEDIA = "https://media.example.org"


def pack_videos(
    *,
    ids: Iterable[int],
    creator: Indices,
    created_at: Floats,
    city: Indices,
    tokens: Indices,  # (n, N_TOKENS)
    counts: Floats,  # (n, 6) views, rating, rating_count, connections, likes, exhibited
    user_ids: Sequence[int | None],
    n_skills: int,
) -> tuple[Videos, Skills]:
    skills = tokens[:, :N_SKILLS]
    together = np.zeros((n_skills + 1) ** 2)
    for a in range(N_SKILLS):
        for b in range(N_SKILLS):
            pair = skills[:, a].astype(np.int64) * (n_skills + 1) + skills[:, b]
            together += np.bincount(pair, minlength=len(together))
    cooccurrence = together.reshape(n_skills + 1, -1)[1:, 1:]
    length = np.linalg.norm(cooccurrence, axis=1, keepdims=True)
    embedding = np.zeros((n_skills + 1, n_skills))
    embedding[1:] = cooccurrence / np.where(length > 0, length, 1)
    similarity = embedding @ embedding.T  # (k + 1, k + 1), padding first
    squared = np.zeros(len(tokens))
    for a in range(N_SKILLS):
        for b in range(N_SKILLS):
            squared += similarity[skills[:, a], skills[:, b]]

    views, rating, rating_count, matched, likes, exhibited = counts.T
    has = skills > 0
    n_has = has.sum(axis=1)
    frequency = np.zeros(n_skills + 1)
    frequency[1:] = cooccurrence.diagonal()
    rarity = np.where(has, 1 / (frequency[skills] + 1), 0).sum(axis=1) / np.where(n_has > 0, n_has, 1)
    features = np.zeros((len(tokens), N_FEATURES))
    features[:, 0] = 0.35 * _norm01(np.log1p(views)) + 0.40 * rating / 5 + 0.25 * _norm01(np.log1p(matched))
    features[:, 2] = 0.7 * rating * rating_count / (rating_count + 10) + 0.3 * np.log1p(matched)
    features[:, 3] = 0.40 * np.log1p(views) + 0.35 * rating + 0.25 * np.log1p(matched)
    features[:, 4] = (tokens[:, : N_SKILLS + N_KNOWLEDGES + N_TOOLS] > 0).sum(axis=1) / 15
    features[:, 9] = np.log1p(views) / 10
    features[:, 10] = rating / 5
    features[:, 11] = rarity
    features[:, 12] = (rating >= 3) | (views >= 20) | (matched >= 2) | (rating_count >= 2)
    for column, count in ((14, rating_count), (15, likes), (16, exhibited)):
        features[:, column] = count / (count.max(initial=0) + 1)

    ids = np.asarray(list(ids), np.int64)
    urls = [f"{MEDIA}/resumes/{i}.mp4" for i in ids.tolist()]
    bodies = [
        json.dumps(
            {
                "type": "resume",
                "id": i,
                "user_id": owner,
                "name": f"Person {owner}" if owner is not None else "",
                "video": url,
                "image": url,
            }
        ).encode()
        for i, owner, url in zip(ids.tolist(), user_ids, urls, strict=True)
    ]
    body, body_start = _joined(bodies)
    url, url_start = _joined([u.encode() for u in urls])
    return (
        Videos(
            id=ids,
            creator=creator,
            created_at=created_at,
            city=city,
            tokens=tokens,
            features=features,
            skill_norm=np.sqrt(squared),
            json=body,
            json_start=body_start,
            url=url,
            url_start=url_start,
        ),
        Skills(n=n_skills, similarity=similarity[1:, 1:].copy()),
    )


def pack_flows(
    *, ids: Iterable[int], creator: Indices, created_at: Floats, city: Indices, user_ids: Sequence[int]
) -> Flows:
    ids = np.asarray(list(ids), np.int64)
    urls = [f"{MEDIA}/challenges/{i}.mp4" for i in ids.tolist()]
    bodies = [
        json.dumps({"type": "challenge", "id": i, "user_id": owner, "name": f"Flow {i}", "video_url": url}).encode()
        for i, owner, url in zip(ids.tolist(), user_ids, urls, strict=True)
    ]
    body, body_start = _joined(bodies)
    url, url_start = _joined([u.encode() for u in urls])
    return Flows(
        id=ids,
        creator=creator,
        created_at=created_at,
        city=city,
        json=body,
        json_start=body_start,
        url=url,
        url_start=url_start,
    )


def pack_users(
    *,
    ids: Ints,
    city: Indices,
    creator: Indices,
    profiles: tuple[Ints, Indices],
    history: tuple[Ints, Indices],
    liked: NDArray[np.bool_],
    kind: NDArray[np.int8] | None = None,
    at: Floats,
    flow_history: tuple[Ints, Indices],
    connections: tuple[Ints, Indices],
) -> Users:
    return Users(
        id=ids,
        city=city,
        creator=creator,
        profile_start=profiles[0],
        profile=profiles[1],
        history_start=history[0],
        history_video=history[1],
        history_liked=liked,
        # a save and a view, unless said otherwise
        history_kind=np.where(liked, 1, 3).astype(np.int8) if kind is None else kind,
        history_at=at,
        flow_history_start=flow_history[0],
        flow_history=flow_history[1],
        connection_start=connections[0],
        connection=connections[1],
    )


def make_manifest(
    *,
    version: str,
    watermark: float,
    as_of: float | None,
    cities: Sequence[str],
    words: Sequence[str],
    counts: Mapping[str, int],
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        version=version,
        watermark=watermark,
        counts=counts,
        skipped={},
        checksums={},
        media_base_url=MEDIA,
        cities=cities,
        tokens=words,
        as_of=as_of,
    )


def _norm01(values: Floats) -> Floats:
    spread = np.ptp(values) if len(values) else 0.0
    return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)


def _joined(parts: Sequence[bytes]) -> tuple[Bytes, Ints]:
    start = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=start[1:])
    return np.frombuffer(b"".join(parts), np.uint8), start
