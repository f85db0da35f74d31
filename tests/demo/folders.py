"""Tiny dataset folders, written by the tests."""

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

USERS = 'id,role,city,country,created_at,skills\n1,viewer,,,,\n2,creator,Cali,Colombia,2022-01-02,"[""Canto""]"\n'
VIDEOS = 'id,user_id,created_at,skills,duration_ms\n10,2,2022-04-10,"[""tag_1""]",900\n11,2,2022-04-09,,800\n'
INTERACTIONS = (
    "user_id,video_id,timestamp,type,reward,watch_ratio,is_click,is_like\n"
    "1,10,2022-04-24T15:05:41.436Z,impression,1,1.25,1,1\n"
    "1,11,2022-04-24T15:06:00Z,impression,0,0,0,0\n"
)
HISTORY = "user_id,seq,video_id,reward\n1,-2,11,0\n1,-1,10,1\n"

WHOLE: dict[str, str | None] = {"users": USERS, "videos": VIDEOS, "interactions": INTERACTIONS, "history": HISTORY}


def folder(at: Path, **changed: str | None) -> Path:
    """A dataset folder named `tiny`; None leaves a file out."""
    there = at / "tiny"
    there.mkdir(parents=True, exist_ok=True)
    for name, content in {**WHOLE, **changed}.items():
        if content is not None:
            (there / f"{name}.csv.gz").write_bytes(gzip.compress(content.encode()))
    return there


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """What a query answers."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()
