"""The platform's tables in SQLite: the embedded database has the schema that the platform's MySQL has."""

import sqlite3

# Column names as the platform has them. Nothing is NOT NULL, unique or a foreign key: the platform's tables are not
# either, and a reader that only met clean tables would prove nothing. Times are UTC text, JSON is text.
TABLES: dict[str, tuple[str, ...]] = {
    "users": (
        "id INTEGER PRIMARY KEY",
        "name TEXT",
        "city TEXT",
        "country TEXT",
        "created_at TEXT",
        "updated_at TEXT",
        "deleted_at TEXT",
    ),
    "profiles": (
        "user_id INTEGER",
        "skills TEXT",
        "languages TEXT",
        "tools TEXT",
        "knowledge TEXT",
        "hobbies TEXT",
        "type_talentees TEXT",
        "opencall_objective TEXT",
    ),
    "resumes": (
        "id INTEGER PRIMARY KEY",
        "user_id INTEGER",
        "video TEXT",
        "views INTEGER",
        "skills TEXT",
        "knowledges TEXT",
        "tools TEXT",
        "languages TEXT",
        "role_objectives TEXT",
        "description TEXT",
        "status TEXT",
        "created_at TEXT",
        "updated_at TEXT",
        "deleted_at TEXT",
        "image TEXT",
    ),
    "team_feedbacks": ("user_id INTEGER", "model_id INTEGER", "type TEXT", "value REAL", "created_at TEXT"),
    "likes": ("user_id INTEGER", "model_id INTEGER", "type TEXT", "created_at TEXT"),
    "matches": ("user_id INTEGER", "model_id INTEGER", "status TEXT", "created_at TEXT"),
    "views": ("model_id INTEGER", "model_type TEXT", "user_id INTEGER", "created_at TEXT"),
    "resumes_exhibited": ("resume_id INTEGER",),
    "challenges": (
        "id INTEGER PRIMARY KEY",
        "user_id INTEGER",
        "video TEXT",
        "name TEXT",
        "description TEXT",
        "status TEXT",
        "created_at TEXT",
        "updated_at TEXT",
        "deleted_at TEXT",
        "image TEXT",
        "slug TEXT",
        "talent_type TEXT",
        "interest_areas TEXT",
        "type_objectives TEXT",
        "status_at TEXT",
    ),
    "user_connections": ("from_id INTEGER", "to_id INTEGER", "status TEXT", "created_at TEXT"),
    "activity_log": (
        "id INTEGER PRIMARY KEY",
        "log_name TEXT",
        "description TEXT",
        "subject_id INTEGER",
        "subject_type TEXT",
        "causer_id INTEGER",
        "causer_type TEXT",
        "properties TEXT",
        "url TEXT",
        "created_at TEXT",
        "updated_at TEXT",
    ),
}

INDEXES = ("CREATE INDEX activity_log_created_at ON activity_log (created_at)",)


def create(connection: sqlite3.Connection) -> None:
    """Create all tables of SPEC 2, empty, in the connection's open transaction.

    Raises sqlite3.OperationalError where one of them exists already.
    """
    for table, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
    for index in INDEXES:
        connection.execute(index)


def columns(table: str) -> tuple[str, ...]:
    """The names of a table's columns, in order."""
    return tuple(column.split(" ", 1)[0] for column in TABLES[table])


def insert_statement(table: str) -> str:
    """`INSERT` of a whole row, one `?` a column, in the order of `columns`."""
    names = columns(table)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - our own names
