"""The driver's own way within a transaction: what goes wrong there is what SQLAlchemy would have said of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.contracts.platforms import Platform

from talentfeed.stores.engines import mysql_engine
from talentfeed.stores.ledger import ledger, now
from talentfeed.stores.mysql_direct import Direct

pytestmark = pytest.mark.anyio

ENTRY = sa.insert(ledger)
ROWS = sa.select(ledger.c.rows).where(ledger.c.batch_id == "b1").with_for_update(read=True)


@pytest.fixture
async def engine(maria_platform: Platform) -> AsyncIterator[AsyncEngine]:
    engine = mysql_engine(maria_platform.account())
    yield engine
    await engine.dispose()


async def enter(direct: Direct, batch_id: str) -> None:
    await direct.run(ENTRY, {"batch_id": batch_id, "rows": 7, "committed_at": now()})


async def test_what_it_does_is_part_of_the_transaction(engine: AsyncEngine, maria_platform: Platform) -> None:
    async with engine.connect() as connection:
        await connection.begin()
        direct = await Direct.of(connection)
        await enter(direct, "b1")
        assert [tuple(row) for row in await direct.run(ROWS)] == [(7,)]
        await connection.rollback()
        assert list(await direct.run(ROWS)) == []
    async with engine.begin() as connection:
        await enter(await Direct.of(connection), "b2")
    assert maria_platform.ledger() == {"b2": 7}


async def test_a_key_that_is_there_is_an_integrity_error_and_the_connection_goes_on(
    engine: AsyncEngine, maria_platform: Platform
) -> None:
    async with engine.connect() as connection:
        async with connection.begin():
            await enter(await Direct.of(connection), "b1")
        with pytest.raises(IntegrityError) as caught:
            async with connection.begin():
                await enter(await Direct.of(connection), "b1")
        assert not caught.value.connection_invalidated
        async with connection.begin():
            await enter(await Direct.of(connection), "b2")
    assert maria_platform.ledger() == {"b1": 7, "b2": 7}


async def test_a_percent_sign_in_a_statement_without_values_is_one(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        direct = await Direct.of(connection)
        assert [tuple(row) for row in await direct.send("SELECT '100% %s', 7 % 4", None)] == [("100% %s", 3)]


async def test_what_the_server_refuses_has_its_number_and_no_statement(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await (await Direct.of(connection)).send("SELECT secret FROM nothing_here", None)
        assert caught.value.orig is not None
        assert caught.value.orig.args[0] == 1146
        assert "secret" not in str(caught.value)


async def test_a_connection_that_is_lost_in_a_transaction_goes_out_of_use_and_takes_back_what_was_begun(
    engine: AsyncEngine, maria_platform: Platform
) -> None:
    async def cut_off() -> None:
        async with engine.begin() as connection:
            direct = await Direct.of(connection)
            await enter(direct, "b1")
            ((number,),) = await direct.send("SELECT CONNECTION_ID()", None)
            maria_platform.execute(f"KILL {number}")
            for _ in range(2_000):  # it may answer until it has noticed
                await direct.send("SELECT 1", None)
                await asyncio.sleep(0.01)

    with pytest.raises(OperationalError) as caught:
        await cut_off()
    assert caught.value.connection_invalidated
    assert maria_platform.ledger() == {}
    async with engine.begin() as connection:
        await enter(await Direct.of(connection), "b2")
    assert maria_platform.ledger() == {"b2": 7}


async def test_a_statement_that_is_broken_off_takes_its_connection_with_it(
    engine: AsyncEngine, maria_platform: Platform
) -> None:
    async def sleep() -> None:
        async with engine.begin() as connection:
            direct = await Direct.of(connection)
            await enter(direct, "b1")
            await direct.send("DO SLEEP(20)", None)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await sleep()
    async with engine.begin() as connection:
        direct = await Direct.of(connection)
        assert [tuple(row) for row in await direct.send("SELECT 5", None)] == [(5,)]
    assert "b1" not in maria_platform.ledger()
