"""Settings → connections: who we are at each store, made but not yet used."""

import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from talentfeed.activity.codec import Rows
from talentfeed.errors import SettingsError
from talentfeed.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The connections, made but not yet used."""

    redis: Any
    in_process: bool
    activity_log: Any  # a `stores.on_use.OnUse` of the `stores.database.ActivityLog`
    rows: Rows

    async def close(self) -> None:
        """Let go of all of them."""
        await self.redis.aclose()
        await self.activity_log.close()


def require_no_bastion(settings: Settings) -> None:
    """The bastion is not connected yet: say so rather than dial past it."""
    if settings.ssh_host is not None:
        raise SettingsError("SSH_HOST: set, but this version does not connect through a bastion yet; unset it")


def reading_account(settings: Settings) -> Any:
    """The `stores.mysql.Account` that reads the platform's tables; None: the embedded database."""
    if settings.mysql_host is None:
        return None
    from talentfeed.stores.mysql import Account

    return Account(
        host=settings.mysql_host,
        port=settings.mysql_port,
        user=settings.mysql_user,
        password=settings.mysql_password.get_secret_value(),
        database=settings.mysql_db,
        ssl_ca=settings.mysql_ssl_ca,
    )


def writing_account(settings: Settings) -> Any:
    """The `stores.mysql.Account` that writes `activity_log` and the ledger; None: the embedded database."""
    account = reading_account(settings)
    if account is None or settings.mysql_write_user is None:
        return account
    return dataclasses.replace(
        account,
        user=settings.mysql_write_user,
        password=settings.mysql_write_password.get_secret_value(),
        settings="MYSQL_WRITE_USER and MYSQL_WRITE_PASSWORD",
    )


def open_stores(settings: Settings) -> Stores:
    """Clients for what is written; they connect on first use. Raises SettingsError for what is not built yet."""
    require_no_bastion(settings)
    from talentfeed.stores.on_use import OnUse
    from talentfeed.stores.redis import open_redis

    redis = open_redis(
        host=settings.redis_host,
        port=settings.redis_port,
        password=settings.redis_password.get_secret_value(),
        scheme=settings.redis_scheme,
        db=settings.redis_db,
        ssl_ca=settings.redis_ssl_ca,
    )
    return Stores(
        redis=redis,
        in_process=settings.redis_host is None,
        activity_log=OnUse(functools.partial(_open_activity_log, settings)),
        rows=Rows(
            resume_subject_type=settings.resume_subject_type,
            challenge_subject_type=settings.challenge_subject_type,
        ),
    )


def _open_activity_log(settings: Settings) -> Any:
    from talentfeed.stores.database import ActivityLog, sqlite_url

    return ActivityLog(
        writing_account(settings) or sqlite_url(settings.embedded_database), db_timezone=settings.db_timezone
    )


def tables_opener(settings: Settings) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """What opens the platform's tables to be read."""
    account = reading_account(settings)
    if account is None:
        from talentfeed.snapshot.source import open_sqlite

        return functools.partial(open_sqlite, settings.embedded_database)
    from talentfeed.stores.mysql_tables import open_mysql

    return functools.partial(open_mysql, account, db_timezone=settings.db_timezone)


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Stores]:
    """The stores for one piece of work."""
    stores = open_stores(settings)
    try:
        yield stores
    finally:
        await stores.close()


async def create_ledger(settings: Settings) -> None:
    """Create the ledger table where it is not there yet."""
    async with opened(settings) as stores:
        await stores.activity_log.ensure_ledger()
