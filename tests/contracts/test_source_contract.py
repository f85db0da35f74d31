"""The same content gives the same snapshot, whichever database holds it; and what is wrong is one clear line."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.contracts import mysql_schema
from tests.contracts.fixtures import BEHIND
from tests.contracts.mariadb import PASSWORD, MariaServer
from tests.contracts.platforms import Platform
from tests.snapshot.platform import NOW, Tables, a_platform, write

from talentfeed.demo.generate import generate
from talentfeed.errors import SourceError
from talentfeed.snapshot.build import Report, build
from talentfeed.snapshot.source import Source, read
from talentfeed.stores.mysql import Account
from talentfeed.stores.mysql_tables import open_mysql


def built(platform: Platform, folder: Path, *, db_timezone: str = "UTC", now: float = NOW) -> Report:
    source = Source(database=partial(platform.tables, db_timezone=db_timezone), db_timezone=db_timezone)
    return build(source, folder, now=now, media_base_url="https://m.test")


Maker = Callable[[Tables], Platform]


@pytest.fixture
def of(request: pytest.FixtureRequest, tmp_path: Path, maria_server: MariaServer) -> Iterator[Maker]:
    """Rows → a database of the kind that the test's parameter names."""
    made: list[str] = []

    def make(tables: Tables) -> Platform:
        path = tmp_path / "rows.db"
        write(path, tables)
        if request.param == "sqlite":
            return Platform(path=path)
        schema = f"source_{len(made)}"
        made.append(schema)
        mysql_schema.create(maria_server, schema)
        mysql_schema.copy(path, maria_server, schema)
        way = request.getfixturevalue("way_to_maria") if request.param == BEHIND else {}
        return Platform(server=maria_server, schema=schema, way=way)

    yield make
    for schema in made:
        maria_server.execute(f"DROP DATABASE {schema}")


both = pytest.mark.parametrize("of", ["sqlite", "mariadb"], indirect=True)
each = pytest.mark.parametrize("of", ["sqlite", "mariadb", BEHIND], indirect=True)
mariadb = pytest.mark.parametrize("of", ["mariadb"], indirect=True)


def test_demo_data_gives_the_same_arrays_from_mariadb_as_from_sqlite_dirt_included(
    tmp_path: Path, maria_server: MariaServer
) -> None:
    path = tmp_path / "demo.db"
    generate(path, scale=0.02, seed=3, progress=lambda _stage, _done: None)
    mysql_schema.create(maria_server, "demo")
    mysql_schema.copy(path, maria_server, "demo")
    now = time.time()
    embedded = built(Platform(path=path), tmp_path / "a", now=now)
    mysql = built(Platform(server=maria_server, schema="demo"), tmp_path / "b", now=now)
    assert mysql.manifest.checksums == embedded.manifest.checksums
    assert mysql.manifest.version == embedded.manifest.version
    assert mysql.skipped == embedded.skipped
    assert sum(embedded.skipped.values()) > 50
    maria_server.execute("DROP DATABASE demo")


@each
def test_every_table_may_be_empty(of: Maker, tmp_path: Path) -> None:
    report = built(of({}), tmp_path / "s")
    assert (report.counts["videos"], report.counts["users"]) == (0, 0)


@both
def test_an_absent_optional_column_is_no_error(of: Maker, tmp_path: Path) -> None:
    platform = of(a_platform())
    for column in ("image", "slug", "talent_type", "interest_areas", "type_objectives", "status_at"):
        platform.execute(f"ALTER TABLE challenges DROP COLUMN {column}")
    platform.execute("ALTER TABLE resumes DROP COLUMN image")
    assert built(platform, tmp_path / "s").counts["flows"] == 2


@each
def test_every_absent_required_column_and_table_is_named_at_once(of: Maker, tmp_path: Path) -> None:
    platform = of(a_platform())
    platform.execute("DROP TABLE matches")
    platform.execute("ALTER TABLE resumes DROP COLUMN video")
    with pytest.raises(SourceError) as caught:
        built(platform, tmp_path / "s")
    assert "table `matches` is missing" in str(caught.value)
    assert "column `resumes.video` is missing" in str(caught.value)
    assert "\n" not in str(caught.value)


@each
def test_text_of_any_alphabet_arrives_as_it_is(of: Maker) -> None:
    rows = a_platform()
    names = ["Zoë 😀", "李小龍", "Ńandú \u0301", "tab\tquote\"'\\"]
    for user, name in zip(rows["users"], names, strict=False):
        user["name"] = name
    with of(rows).tables() as database:
        assert dict(read(database))["users"].column("name").to_pylist()[: len(names)] == names


@mariadb
def test_a_zero_date_and_a_text_date_are_bad_dates_and_cost_no_build(of: Maker, tmp_path: Path) -> None:
    rows = a_platform()
    rows["resumes"][0]["created_at"] = "0000-00-00 00:00:00"
    rows["users"][0]["created_at"] = "yesterday"
    report = built(of(rows), tmp_path / "s")
    assert report.skipped == {"resumes.bad_date": 1, "users.bad_date": 1}


@mariadb
def test_numbers_of_every_type_are_numbers(of: Maker) -> None:
    platform = of(a_platform())
    for kind, value in (("FLOAT", 4.3), ("DOUBLE", 4.3), ("DECIMAL(10,4)", 4.3), ("TINYINT(1)", 4), ("BIGINT", 4)):
        platform.execute(f"ALTER TABLE team_feedbacks MODIFY value {kind}")
        platform.execute(f"UPDATE team_feedbacks SET value = {value}")  # noqa: S608
        with platform.tables() as database:
            found = dict(read(database))["team_feedbacks"].column("value")
        assert found.to_pylist() == [value], kind


@mariadb
def test_an_id_beyond_64_bits_with_a_sign_is_skipped(of: Maker, tmp_path: Path) -> None:
    platform = of(a_platform())
    platform.execute("INSERT INTO likes (user_id, model_id, type) VALUES (18446744073709551615, 11, 'save')")
    assert built(platform, tmp_path / "s").skipped == {"likes.missing_id": 1}


@mariadb
def test_a_table_that_is_a_view_with_a_constant_null_can_be_read(of: Maker, tmp_path: Path) -> None:
    platform = of(a_platform())
    platform.execute("DROP TABLE resumes_exhibited")
    platform.execute("CREATE VIEW resumes_exhibited AS SELECT NULL AS resume_id FROM users")
    assert built(platform, tmp_path / "s").skipped == {"resumes_exhibited.missing_id": 5}


@mariadb
def test_what_the_bulk_driver_panics_at_is_an_error_of_ours(of: Maker) -> None:
    platform = of(a_platform())
    with platform.tables() as database:
        database.columns("users")
        database._types["users"]["id"] = "text"  # type: ignore[attr-defined]
        with pytest.raises(SourceError, match="table `users` cannot be read") as caught:
            database.fetch("users", ["id"], "1 = (SELECT 1 FROM nowhere)")
    assert PASSWORD not in str(caught.value)


@both
def test_times_are_read_by_the_clock_of_their_zone(of: Maker, tmp_path: Path) -> None:
    platform = of({"users": [{"id": 1}], "matches": [{"user_id": 1, "model_id": 1}]} | newest("2026-09-01 07:00:00"))
    seven_in_bogota = 1_788_264_000.0  # 2026-09-01T12:00:00Z
    assert built(platform, tmp_path / "a", db_timezone="America/Bogota").manifest.watermark == seven_in_bogota
    assert built(platform, tmp_path / "b").manifest.watermark == seven_in_bogota - 5 * 3600


def newest(created_at: str) -> Tables:
    return {"resumes": [{"id": 1, "user_id": 1, "video": "https://v.test/1.mp4", "created_at": created_at}]}


@mariadb
def test_a_timestamp_is_a_moment_whatever_the_zone_of_the_other_times(of: Maker, tmp_path: Path) -> None:
    platform = of(newest("2026-09-01 07:00:00") | {"users": [{"id": 1}]})
    platform.execute("ALTER TABLE resumes MODIFY created_at TIMESTAMP NULL")
    platform.execute("UPDATE resumes SET created_at = FROM_UNIXTIME(1788264000)")
    for zone in ("UTC", "America/Bogota", "Asia/Tokyo"):
        assert built(platform, tmp_path / zone, db_timezone=zone).manifest.watermark == 1_788_264_000.0


@mariadb
def test_reading_waits_for_nobody_and_nobody_waits_for_it(of: Maker, tmp_path: Path) -> None:
    platform = of(a_platform())
    assert platform.server is not None
    with platform.server.holding("UPDATE users SET name = 'locked by a writer'", database=platform.schema):
        assert built(platform, tmp_path / "s").counts["users"] == 5


def refusals(account: Account) -> str:
    began = time.perf_counter()
    with pytest.raises(SourceError) as caught, open_mysql(account) as database:
        read(database)
    assert time.perf_counter() - began < 60
    text = str(caught.value)
    assert "\n" not in text
    assert not account.password or account.password not in text
    return text


@mariadb
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "open-sesame"}, "it refuses this account"),
        ({"user": "nobody-known"}, "check MYSQL_USER and MYSQL_PASSWORD"),
        ({"database": "absent"}, "there is no schema `absent`; check MYSQL_DB"),
        ({"host": "no-such-host.invalid"}, "cannot connect (no such host)"),
        ({"port": 1}, "cannot connect (nothing listens there)"),
    ],
)
def test_what_is_wrong_with_the_account_is_one_line_without_its_secret(
    change: dict[str, Any], said: str, of: Maker
) -> None:
    platform = of(a_platform())
    assert platform.server is not None
    account = platform.server.account(platform.schema)
    parts = {name: getattr(account, name) for name in ("host", "port", "user", "password", "database")}
    assert said in refusals(Account(**{**parts, **change}))


@mariadb
def test_a_missing_right_names_the_table(of: Maker) -> None:
    platform = of(a_platform())
    server = platform.server
    assert server is not None
    server.grant(f"SELECT ON {platform.schema}.users", "half", "pw-of-half")
    text = refusals(server.account(platform.schema, user="half", password="pw-of-half"))
    assert "a right is missing" in text
    assert "profiles" in text


@mariadb
def test_an_account_that_may_only_read_suffices(of: Maker, tmp_path: Path) -> None:
    platform = of(a_platform())
    server = platform.server
    assert server is not None
    server.grant(f"SELECT ON {platform.schema}.*", "reader", "pw of/reader")
    account = server.account(platform.schema, user="reader", password="pw of/reader")
    source = Source(database=partial(open_mysql, account))
    assert build(source, tmp_path / "s", now=NOW, media_base_url="m").counts["users"] == 5
