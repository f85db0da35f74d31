"""Whether MySQL answers, asked on one connection that is kept: as the store that writes tells it, for less."""

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys

import pytest
from tests.contracts.mariadb import MariaServer
from tests.contracts.platforms import Platform

from talentfeed.errors import LedgerMissingError, SourceError, StoreUnavailableError
from talentfeed.stores import ledger
from talentfeed.stores.faults import LEDGER
from talentfeed.stores.mysql_ping import MysqlPing

pytestmark = pytest.mark.anyio


def connections(server: MariaServer) -> int:
    found = server.execute(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'talentfeed'", database="mysql"
    )
    return int(found[0][0])


async def test_it_answers_on_one_connection_that_it_lets_go_of(
    maria_platform: Platform, maria_server: MariaServer
) -> None:
    asked = MysqlPing(maria_platform.account())
    before = connections(maria_server)
    await asyncio.gather(*(asked.ping() for _ in range(5)))
    assert connections(maria_server) == before + 1
    await asked.close()
    deadline = asyncio.get_running_loop().time() + 60
    while connections(maria_server) > before:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


async def test_it_holds_no_table_against_whoever_alters_it(maria_platform: Platform) -> None:
    asked = MysqlPing(maria_platform.account())
    await asked.ping()
    maria_platform.execute("ALTER TABLE activity_log ADD COLUMN more INT")
    await asked.ping()
    await asked.close()


async def test_what_is_wrong_is_of_the_kinds_that_the_store_tells(
    maria_platform: Platform, maria_server: MariaServer
) -> None:
    asked = MysqlPing(maria_platform.account())
    await asked.ping()
    maria_platform.execute(f"DROP TABLE {LEDGER}")
    with pytest.raises(LedgerMissingError, match="talentfeed ledger --create"):
        await asked.ping()
    await asked.close()
    wrong = MysqlPing(maria_server.account("no_such_schema"))
    with pytest.raises(SourceError, match="MYSQL_DB"):
        await wrong.ping()
    closed = MysqlPing(dataclasses.replace(maria_platform.account(), port=1))
    with pytest.raises(StoreUnavailableError, match="nothing listens there"):
        await closed.ping()


async def test_a_connection_that_the_server_ended_is_made_anew_at_once(
    maria_platform: Platform, maria_server: MariaServer
) -> None:
    asked = MysqlPing(maria_platform.account())
    await asked.ping()
    for (number,) in maria_server.execute(
        "SELECT id FROM information_schema.processlist WHERE user = 'talentfeed'", database="mysql"
    ):
        maria_server.execute(f"KILL {number}", database="mysql")
    await asked.ping()
    await asked.close()


async def test_a_caller_that_gave_up_leaves_nothing_behind_for_the_next(
    maria_platform: Platform, maria_server: MariaServer
) -> None:
    asked = MysqlPing(maria_platform.account())
    await asked.ping()
    assert maria_server.process is not None
    os.kill(maria_server.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked.ping(), 0.05)
        with pytest.raises(StoreUnavailableError, match=r"no answer within 1 s"):
            await MysqlPing(maria_platform.account(), answer_seconds=1.0).ping()
    finally:
        os.kill(maria_server.process.pid, signal.SIGCONT)
    await asked.ping()
    await asked.close()


def test_it_imports_no_sqlalchemy_and_knows_the_ledger_by_its_name() -> None:
    code = "import sys, talentfeed.stores.mysql_ping; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert ledger.ledger.name == LEDGER
