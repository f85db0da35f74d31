"""A made dataset folder: two circles of people who are shown and like videos of their own circle."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

USERS, VIDEOS, BLOCK = 80, 160, 150


def write(at: Path, *, dated: bool = True, rows: int = 2_500) -> Path:
    """Users 1–80 and videos 1–160; a fully observed block of users 1–20 and videos 1–150.

    Without dates there is no interaction inside the block, and every one is liked.
    """
    rng = np.random.default_rng(4)
    start = datetime(2022, 4, 24, tzinfo=UTC)
    user = rng.integers(USERS, size=rows)
    circle = (user % 2) ^ (rng.random(rows) < 0.1)
    video = 2 * (VIDEOS // 2 * rng.random(rows) ** 2).astype(int) + circle
    liked = rng.random(rows) < np.where(circle == user % 2, 0.7, 0.2)
    times = [(start + timedelta(minutes=6 * n)).isoformat() if dated else "" for n in range(rows)]
    if not dated:
        liked[:] = True
    inside = (user < 20) & (video < BLOCK) & (not dated)
    interactions = [
        f"{u + 1},{v + 1},{t},impression,{int(r)}"
        for u, v, t, r, within in zip(user, video, times, liked, inside, strict=True)
        if not within
    ]
    full = [
        f"{u + 1},{v + 1}"
        for u in range(20)
        for v in range(BLOCK)
        if rng.random() < (0.6 if u % 2 == v % 2 else 0.1) * (1 - v / VIDEOS)
    ]
    files = {
        "users": ["id,in_small_matrix", *(f"{n + 1},{int(n < 20)}" for n in range(USERS))],
        "videos": [
            "id,user_id,created_at,skills,in_small_matrix",
            *(f'{n + 1},,2022-04-{9 + n % 3:02d},"[""s{n % 9}""]",{int(n < BLOCK)}' for n in range(VIDEOS)),
        ],
        "interactions": ["user_id,video_id,timestamp,type,reward", *interactions],
        "full_feedback": ["user_id,video_id", *full],
    }
    at.mkdir()
    for name, lines in files.items():
        (at / f"{name}.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return at
