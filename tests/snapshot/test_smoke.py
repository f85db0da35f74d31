"""One tiny database, all the way."""

import sqlite3
from contextlib import closing
from pathlib import Path

from talentfeed.demo import schema
from talentfeed.snapshot import store
from talentfeed.snapshot.build import build
from talentfeed.snapshot.source import Source


def test_an_empty_database_builds_a_snapshot_that_loads(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    with closing(sqlite3.connect(path)) as connection:
        schema.create(connection)
        connection.commit()
    report = build(Source(sqlite=path), tmp_path / "snapshots", now=1.8e9, media_base_url="https://media.test")
    loaded = store.load(tmp_path / "snapshots", verify=True)
    assert loaded.manifest.version == report.manifest.version
    assert loaded.manifest.counts["videos"] == 0
