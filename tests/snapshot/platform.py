"""A platform database from rows in Python: what is not given is null."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from talentfeed.demo import schema

RESUME = r"App\Interacpedia\Resumes\Resume"
CHALLENGE = r"App\Interacpedia\Challenges\Challenge"
NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z

Tables = dict[str, list[dict[str, Any]]]

_USUAL: Mapping[str, Mapping[str, Any]] = {
    "resumes": {"status": "send"},
    "challenges": {"status": "published"},
    "team_feedbacks": {"type": "ranking_resume"},
    "likes": {"type": "save"},
    "matches": {"status": "accepted"},
    "views": {"model_type": RESUME},
    "user_connections": {"status": "accepted"},
    "activity_log": {"subject_type": RESUME, "log_name": "app", "causer_type": r"App\User"},
}


def complete(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Tables:
    """All tables with all columns; what makes a row count (a status, a type) is as usual unless given."""
    found: Tables = {}
    for table in schema.TABLES:
        nothing = dict.fromkeys(schema.columns(table))
        found[table] = [{**nothing, **_USUAL.get(table, {}), **row} for row in tables.get(table, ())]
    return found


def write(path: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Tables:
    """Make a database of these rows; returns them complete, as SQLite then has them."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        schema.create(connection)
        for table, rows in complete(tables).items():
            connection.executemany(schema.insert_statement(table), [tuple(row.values()) for row in rows])
        connection.commit()
        connection.row_factory = sqlite3.Row
        return {t: [dict(row) for row in connection.execute(f"SELECT * FROM {t}")] for t in schema.TABLES}  # noqa: S608


def a_platform() -> Tables:
    """A small clean platform that has some of everything: five users, four videos, two flows."""
    return complete(
        {
            "users": [{"id": i, "name": f"Ana {i}", "city": "Bogotá", "created_at": "2026-01-01"} for i in range(1, 6)],
            "profiles": [{"user_id": 1, "skills": '["Dance"]', "languages": '["Spanish"]'}],
            "resumes": [
                {
                    "id": 10 + i,
                    "user_id": i,
                    "video": f"https://v.test/{10 + i}.mp4",
                    "skills": '["Dance", "Music"]' if i % 2 else '["Rap"]',
                    "created_at": f"2026-08-0{i} 12:00:00",
                }
                for i in range(1, 5)
            ],
            "challenges": [
                {
                    "id": 50 + i,
                    "user_id": i,
                    "video": f"https://v.test/{50 + i}.mp4",
                    "name": "Reto",
                    "created_at": "2026-09-01",
                }
                for i in range(2)
                if i
            ]
            + [{"id": 60, "user_id": 2, "video": "https://v.test/60.mp4", "name": "Otro", "created_at": "2026-09-02"}],
            "team_feedbacks": [{"user_id": 2, "model_id": 11, "value": 4, "created_at": "2026-09-01 10:00:00"}],
            "likes": [{"user_id": 3, "model_id": 11, "created_at": "2026-09-02 10:00:00"}],
            "matches": [{"user_id": 3, "model_id": 12, "created_at": "2026-09-03 10:00:00"}],
            "views": [{"model_id": 11}, {"model_id": 11}, {"model_id": 12}],
            "user_connections": [{"from_id": 1, "to_id": 2, "created_at": "2026-09-01"}],
        }
    )
