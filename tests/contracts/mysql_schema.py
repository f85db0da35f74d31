"""The platform's tables as its MySQL has them: unsigned ids, moments and dates, JSON, enums, indexes."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.contracts.mariadb import MariaServer

from talentfeed.demo import schema

_DATES = "created_at TIMESTAMP NULL, updated_at TIMESTAMP NULL, deleted_at TIMESTAMP NULL"
_TABLES = (
    f"""users (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(255), email VARCHAR(255), city VARCHAR(120),
        country VARCHAR(120), {_DATES})""",
    """profiles (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, user_id BIGINT UNSIGNED, skills LONGTEXT,
        languages LONGTEXT, tools LONGTEXT, knowledge LONGTEXT, hobbies LONGTEXT, type_talentees LONGTEXT,
        opencall_objective LONGTEXT, KEY (user_id))""",
    """resumes (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, user_id BIGINT UNSIGNED, video VARCHAR(500),
        views INT UNSIGNED, skills TEXT, knowledges TEXT, tools TEXT, languages TEXT, role_objectives TEXT,
        description MEDIUMTEXT, status ENUM('send', 'pending', 'draft') CHARACTER SET latin1, created_at DATETIME,
        updated_at DATETIME, deleted_at DATETIME(6), image VARCHAR(500), KEY (user_id))""",
    """team_feedbacks (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, user_id INT UNSIGNED, model_id INT UNSIGNED,
        type VARCHAR(60), value DECIMAL(6,2), created_at TIMESTAMP NULL, KEY (model_id))""",
    """likes (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, user_id BIGINT UNSIGNED, model_id BIGINT UNSIGNED,
        type ENUM('save', 'like'), created_at TIMESTAMP NULL)""",
    """matches (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, user_id BIGINT UNSIGNED, model_id BIGINT UNSIGNED,
        status VARCHAR(30), created_at DATETIME)""",
    """views (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, model_id BIGINT UNSIGNED, model_type VARCHAR(255),
        user_id BIGINT UNSIGNED, created_at TIMESTAMP(6) NULL)""",
    "resumes_exhibited (id INT AUTO_INCREMENT PRIMARY KEY, resume_id INT)",
    f"""challenges (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, user_id BIGINT UNSIGNED, video VARCHAR(500),
        name VARCHAR(255), description TEXT, status VARCHAR(30), {_DATES}, image VARCHAR(500), slug VARCHAR(255),
        talent_type VARCHAR(60), interest_areas TEXT, type_objectives TEXT, status_at DATETIME(3))""",
    """user_connections (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, from_id BIGINT UNSIGNED, to_id BIGINT UNSIGNED,
        status VARCHAR(30), created_at TIMESTAMP NULL)""",
)
ACTIVITY_LOG = """activity_log (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, log_name VARCHAR(255),
        description TEXT NOT NULL, subject_id BIGINT UNSIGNED, subject_type VARCHAR(255), causer_id BIGINT UNSIGNED,
        causer_type VARCHAR(255), properties LONGTEXT, url VARCHAR(6000), created_at TIMESTAMP NULL,
        updated_at DATETIME, KEY (log_name), KEY (created_at))"""
# One cell of what `MariaServer.load` reads; SQLite writes it, as Python would take minutes for a large database.
_CELL = (
    "CASE typeof({name}) WHEN 'null' THEN 'NULL' WHEN 'real' THEN printf('%!.17g', {name}) WHEN 'integer' THEN {name} "
    "ELSE '\"' || replace({name}, '\"', '\"\"') || '\"' END"
)


def create(server: MariaServer, database: str, *, only_activity_log: bool = False) -> None:
    """A new schema with the platform's tables, empty."""
    server.execute(f"CREATE DATABASE `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    for table in (ACTIVITY_LOG,) if only_activity_log else (*_TABLES, ACTIVITY_LOG):
        server.execute(f"CREATE TABLE {table}", database=database)


def copy(path: Path, server: MariaServer, database: str) -> None:
    """All rows of an embedded database, in bulk. A date that MySQL does not take becomes its zero date."""
    rows = server.folder / f"{database}.rows"
    try:
        with closing(sqlite3.connect(path)) as connection:
            for table in schema.TABLES:
                names = schema.columns(table)
                cells = " || ',' || ".join(_CELL.format(name=name) for name in names)
                with rows.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(row for (row,) in connection.execute(f"SELECT {cells} || char(10) FROM {table}"))  # noqa: S608
                server.load(table, rows, names, database=database)
    finally:
        rows.unlink(missing_ok=True)
