"""What only a server does: certificates, a frozen process, and clocks of another zone."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.activity.parts import reported
from tests.contracts import mysql_schema
from tests.contracts.mariadb import PASSWORD, MariaServer
from tests.contracts.platforms import Platform

from talentfeed.activity.codec import Rows, encode
from talentfeed.errors import LedgerMissingError, SourceError, StoreUnavailableError
from talentfeed.snapshot.source import read
from talentfeed.stores.database import ActivityLog, ledger_ddl
from talentfeed.stores.mysql import Account
from talentfeed.stores.mysql_tables import open_mysql

pytestmark = pytest.mark.anyio


def row(event_id: str, **more: Any) -> dict[str, Any]:
    return Rows().row(encode(reported(1, event_id, timestamp="2026-09-01T12:00:00Z"))) | more


@pytest.fixture(scope="module")
def tls(maria_server: MariaServer, certificates: Path) -> tuple[MariaServer, Path]:
    """A server for `localhost` whose certificate a CA of our own signed; → it and the folder of the certificates."""
    server = maria_server
    mysql_schema.create(server, "safe")
    server.execute(ledger_ddl("mysql"), database="safe")
    server.execute("CREATE USER 'tls'@'%' IDENTIFIED BY 'pw' REQUIRE SSL")
    server.execute("GRANT ALL ON safe.* TO 'tls'@'%'")
    return server, certificates


def tls_account(server: MariaServer, host: str, ca: Path | None) -> Account:
    return Account(host=host, port=server.port, user="tls", password="pw", database="safe", ssl_ca=ca)


async def test_tls_writes_and_reads_where_certificate_and_name_are_right(tls: tuple[MariaServer, Path]) -> None:
    server, folder = tls
    account = tls_account(server, "localhost", folder / "ca.crt")
    log = ActivityLog(account)
    assert await log.write("b1", [row("a")])
    await log.close()

    def bulk() -> list[Any]:
        with open_mysql(account) as database:
            found: list[Any] = dict(read(database))["activity_log"].column("causer_id").to_pylist()
            return found

    assert await asyncio.to_thread(bulk) == [1]


@pytest.mark.parametrize(
    ("host", "ca", "said"),
    [
        ("localhost", "other.crt", "MYSQL_SSL_CA"),
        ("127.0.0.1", "ca.crt", "another host name"),
        ("localhost", None, "refuses this account"),
    ],
)
async def test_tls_refuses_another_ca_another_name_and_no_tls_at_all(
    host: str, ca: str | None, said: str, tls: tuple[MariaServer, Path]
) -> None:
    server, folder = tls
    account = tls_account(server, host, folder / ca if ca else None)
    log = ActivityLog(account)
    with pytest.raises((SourceError, StoreUnavailableError), match=said):
        await log.ping()
    await log.close()

    def probe() -> None:
        with open_mysql(account):
            pytest.fail("it let us in")

    with pytest.raises(SourceError, match=said):
        await asyncio.to_thread(probe)


async def test_the_bulk_driver_verifies_too(tls: tuple[MariaServer, Path]) -> None:
    server, folder = tls

    def bulk() -> None:
        with open_mysql(tls_account(server, "localhost", folder / "ca.crt")) as database:
            database.columns("users")
            database._account = tls_account(server, "127.0.0.1", folder / "ca.crt")
            database.fetch("users", ["id"])

    with pytest.raises(SourceError, match=r"table `users` cannot be read: .*(?i:certificate|hostname|tls)"):
        await asyncio.to_thread(bulk)


async def test_a_frozen_server_is_given_up_also_with_much_still_to_send(
    maria_platform: Platform, maria_server: MariaServer
) -> None:
    log = maria_platform.log(answer_seconds=2.0)
    await log.ping()
    assert maria_server.process is not None
    os.kill(maria_server.process.pid, signal.SIGSTOP)
    try:
        for rows in ([row("a")], [row(str(n), url="x" * 5_000) for n in range(2_000)]):
            async with asyncio.timeout(60):  # without an end of its own it would wait for ever
                with pytest.raises(StoreUnavailableError, match=r"no answer within 2 s"):
                    await log.write("b1", rows)
    finally:
        os.kill(maria_server.process.pid, signal.SIGCONT)
    for _ in range(100):
        try:
            await log.write("b2", [row("b")])
            break
        except StoreUnavailableError:
            await asyncio.sleep(0.1)
    assert maria_platform.ledger()["b2"] == 1
    await log.close()


async def test_a_connection_that_the_server_cut_is_replaced_before_it_is_used(maria_platform: Platform) -> None:
    log = maria_platform.log()
    await log.ping()
    for (number,) in maria_platform.execute(
        f"SELECT id FROM information_schema.processlist WHERE db = '{maria_platform.schema}' AND command = 'Sleep'"  # noqa: S608
    ):
        maria_platform.execute(f"KILL {number}")
    assert await log.write("b1", [row("a")])
    await log.close()


async def test_times_are_written_by_the_clock_of_the_zone_but_a_timestamp_is_a_moment(maria_platform: Platform) -> None:
    log = maria_platform.log(db_timezone="America/Bogota")
    await log.write("b1", [row("a")])
    sql = "SELECT UNIX_TIMESTAMP(created_at), CAST(updated_at AS CHAR) FROM activity_log"
    assert maria_platform.execute(sql) == [(1_788_264_000, "2026-09-01 07:00:00")]  # TIMESTAMP, DATETIME
    assert len(await log.recent_client_activities(1_788_264_000)) == 1
    assert await log.recent_client_activities(1_788_264_001) == []
    await log.close()


async def test_times_in_sqlite_are_by_the_clock_of_the_zone(sqlite_platform: Platform) -> None:
    log = sqlite_platform.log(db_timezone="America/Bogota")
    await log.write("b1", [row("a")])
    assert sqlite_platform.rows()[0]["created_at"] == "2026-09-01 07:00:00"
    assert len(await log.recent_client_activities(1_788_264_000)) == 1
    assert await log.recent_client_activities(1_788_264_001) == []
    await log.close()


async def test_an_account_without_rights_on_the_ledger_is_told_about_the_ledger(
    maria_platform: Platform, maria_server: MariaServer
) -> None:
    maria_server.grant(f"SELECT, INSERT ON {maria_platform.schema}.activity_log", "no_ledger", "pw-of-none")
    log = ActivityLog(maria_server.account(maria_platform.schema, user="no_ledger", password="pw-of-none"))
    for call in (log.write("b1", [row("a")]), log.ping()):
        with pytest.raises(LedgerMissingError, match="talentfeed ledger"):
            await call
    await log.close()


async def test_any_text_is_stored_as_it_is_and_no_password_is_in_a_text(maria_platform: Platform) -> None:
    log = maria_platform.log()
    text = "😀 李 'quoted' \"too\" \\ %s %(x)s \u0000 ;--"
    await log.write("b1", [row("a", url=text)])
    assert maria_platform.rows()[0]["url"] == text
    account = maria_platform.place
    assert PASSWORD not in f"{account} {account!r} {log._engine.url!r}"
    await log.close()
