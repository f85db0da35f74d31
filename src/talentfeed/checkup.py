"""Tests each connection and each right that the service needs, and says what is wrong and the way out."""

import asyncio
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from talentfeed.connections import (
    Stores,
    bastion_beside,
    make_bastion,
    open_tables,
    opened,
    reading_account,
    writing_account,
)
from talentfeed.errors import BastionError, SourceError, TalentFeedError
from talentfeed.settings import Settings

OLDEST_REDIS = 6
REDIS_SECONDS = 5.0
_NOTHING = "FROM (SELECT 0 AS one) AS nothing WHERE one = 1"  # such an INSERT is judged as any, and inserts no row


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tested. `warning`: it works, but not as it should be run."""

    check: str
    state: Literal["ok", "warning", "wrong"]
    text: str  # one line, without secrets


def check_all(settings: Settings) -> list[Finding]:
    """All findings, in the order in which one would mend them. Changes nothing anywhere.

    Raises SettingsError. Not from within a running event loop.
    """
    found = [] if settings.ssh_host is None else asyncio.run(_bastion(settings))
    try:
        with bastion_beside(settings) as bastion:
            return [*found, *_reading(settings, bastion), *asyncio.run(_stores(settings, bastion))]
    except BastionError as error:  # most likely the same as it was a moment ago
        return found if found[0].state == "wrong" else [*found, Finding("bastion", "wrong", str(error))]


# ---------------------------------------------------------------- the bastion


async def _bastion(settings: Settings) -> list[Finding]:
    try:
        bastion = make_bastion(settings)
        try:
            await bastion.start()
            unreached = await bastion.unreached()
        finally:
            await bastion.stop()
    except BastionError as error:
        return [Finding("bastion", "wrong", f"{error} (what is behind it was not tested)")]
    return [
        Finding("bastion", "ok", f"{bastion.hop} lets us in, its host key is the known one"),
        *(Finding(f"bastion to {target}", "wrong", f"it is not reached: {why}") for target, why in unreached.items()),
    ]


# ---------------------------------------------------------------- reading


def _reading(settings: Settings, bastion: Any) -> Iterator[Finding]:
    if importlib.util.find_spec("pyarrow") is None:
        yield Finding("read", "warning", "not tested: the build's libraries are not installed here")
        return
    from talentfeed.snapshot.source import TABLES

    account = reading_account(settings)
    try:
        with open_tables(settings, bastion) as database:
            yield Finding("read", "ok", f"{database.name} answers")
            for table, wanted in TABLES.items():
                yield _table(database, table, wanted.required, account)
    except SourceError as error:
        yield Finding("read", "wrong", str(error))


def _table(database: Any, table: str, required: Any, account: Any) -> Finding:
    try:
        present = database.columns(table)
    except SourceError as error:
        return Finding(f"read {table}", "wrong", _with_grant(error, "SELECT", table, account))
    if not present:
        return Finding(f"read {table}", "wrong", "there is no such table; the platform's schema is needed")
    if absent := [column for column in required if column not in present]:
        return Finding(f"read {table}", "wrong", f"without the columns {', '.join(absent)}, which a build needs")
    return Finding(f"read {table}", "ok", "may be read")


def _with_grant(error: Exception, right: str, table: str, account: Any) -> str:
    text = str(error).replace("; `talentfeed check` lists what to grant", "")
    if account is None or "denied" not in text:
        return text
    return f"{text}; as an administrator: GRANT {right} ON `{account.database}`.`{table}` TO '{account.user}'@'…'"


# ---------------------------------------------------------------- writing, Redis


async def _stores(settings: Settings, bastion: Any) -> list[Finding]:
    async with opened(settings, bastion=bastion) as stores:
        return [*await _writing(settings, stores), *await _redis(settings, stores)]


async def _writing(settings: Settings, stores: Stores) -> list[Finding]:
    account = writing_account(settings)
    log = stores.activity_log
    try:
        await log.attempt("SELECT 1")
    except TalentFeedError as error:
        return [Finding("write", "wrong", str(error))]
    quoted = "`rows`" if account is not None else '"rows"'
    row = "log_name, description, subject_id, subject_type, causer_id, causer_type, properties, url, created_at"
    statements = [
        ("activity_log", "SELECT", "SELECT id, properties, created_at FROM activity_log LIMIT 0"),
        (
            "activity_log",
            "INSERT",
            f"INSERT INTO activity_log ({row}, updated_at) SELECT {'NULL, ' * 9}NULL {_NOTHING}",
        ),
        ("talentfeed_ledger", "SELECT", "SELECT batch_id, committed_at FROM talentfeed_ledger LIMIT 0"),
        (
            "talentfeed_ledger",
            "INSERT",
            f"INSERT INTO talentfeed_ledger (batch_id, {quoted}, committed_at) SELECT NULL, NULL, NULL {_NOTHING}",
        ),
        ("talentfeed_ledger", "DELETE", "DELETE FROM talentfeed_ledger WHERE 1 = 0"),
    ]
    found = [await _may(log, table, right, sql, account) for table, right, sql in statements]
    if account is not None:
        found += await _engines(log)
    return found


async def _may(log: Any, table: str, right: str, sql: str, account: Any) -> Finding:
    name = f"write {table}, {right}"
    try:
        await log.attempt(sql)
    except TalentFeedError as error:
        return Finding(name, "wrong", _with_grant(error, right, table, account))
    return Finding(name, "ok", "may be done")


async def _engines(log: Any) -> list[Finding]:
    """Without transactions nothing is exactly once."""
    rows = await log.attempt(
        "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE() "
        "AND table_name IN ('activity_log', 'talentfeed_ledger') AND engine IS NOT NULL AND engine <> 'InnoDB'"
    )
    return [
        Finding(
            f"write {table}", "wrong", f"its engine {engine} has no transactions; ALTER TABLE {table} ENGINE=InnoDB"
        )
        for table, engine in rows
    ]


async def _redis(settings: Settings, stores: Stores) -> list[Finding]:
    if stores.in_process:
        return [Finding("redis", "ok", "the in-process store; it ends with the server")]
    where = f"{settings.redis_scheme}://{settings.redis_host}:{settings.redis_port}/{settings.redis_db}"
    where += "" if settings.ssh_host is None else " through the bastion"
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            await stores.redis.ping()
            version = str((await stores.redis.info("server"))["redis_version"])
    except (RedisError, OSError) as error:
        return [Finding("redis", "wrong", f"{where}: {_redis_reason(error, behind=settings.ssh_host is not None)}")]
    old = int(version.split(".", 1)[0]) < OLDEST_REDIS
    found = [
        Finding("redis", "wrong" if old else "ok", f"{where}: version {version}" + (", 6 is needed" if old else ""))
    ]
    return [*found, *[await _option(stores.redis, *wanted) for wanted in _WANTED]]


def _redis_reason(error: Exception, *, behind: bool) -> str:
    text = " ".join(str(error).split()) or f"no answer within {REDIS_SECONDS:g} s"
    if isinstance(error, AuthenticationError):
        return f"it refuses the password ({text}); check REDIS_PASSWORD"
    if "certificate verify failed" in text:
        return "TLS: its certificate is not of REDIS_SSL_CA, or for another host name than REDIS_HOST"
    if behind and isinstance(error, RedisConnectionError):  # its text names the forward's end
        return "no answer through the bastion; check REDIS_HOST, REDIS_PORT and REDIS_SCHEME, as the bastion sees them"
    if "DB index" in text:
        return f"it has no such database ({text}); check REDIS_DB"
    return f"{text}; check REDIS_HOST, REDIS_PORT and REDIS_SCHEME, and whether a Redis runs there"


_WANTED = (
    ("appendonly", "yes", "what clients reported is lost when it crashes"),
    ("appendfsync", "always", "a crash of its machine takes the last second back"),
    ("maxmemory-policy", "noeviction", "what waits to be stored may be thrown away"),
)


async def _option(redis: Any, name: str, wanted: str, why: str) -> Finding:
    try:
        value = (await redis.config_get(name)).get(name)
    except ResponseError:
        return Finding(f"redis {name}", "warning", f"cannot be looked at with this account; it should be {wanted}")
    except (RedisError, OSError) as error:
        return Finding(f"redis {name}", "wrong", str(error))
    if value != wanted:
        return Finding(f"redis {name}", "warning", f"is {value}, should be {wanted}: {why}")
    return Finding(f"redis {name}", "ok", wanted)
