"""Settings → connections: who we are at each store, made but not yet used."""

import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from talentfeed.activity.codec import Rows
from talentfeed.errors import SettingsError, StoreUnavailableError
from talentfeed.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The connections, made but not yet used."""

    redis: Any
    line: Any  # one of `stores.lines`, to the same Redis: for reading
    recording: Any  # another, for what was served; None: in-process, where the client is the shortest way
    in_process: bool
    activity_log: Any  # a `stores.on_use.OnUse` of the `stores.database.ActivityLog`
    asked: Any  # the same, or one of a `stores.mysql_ping.MysqlPing`: whether the database answers, for less memory
    rows: Rows
    bastion: Any  # a `stores.bastion.Bastion`, that the others go through once it is started; None: they go directly

    @property
    def bastion_state(self) -> Any:
        """Its `stores.bastion.State`; None: there is none."""
        return None if self.bastion is None else self.bastion.state

    async def close(self) -> None:
        """Let go of all of them."""
        await self.redis.aclose()
        await self.activity_log.close()
        if self.asked is not self.activity_log:
            await self.asked.close()
        if self.bastion is not None:
            await self.bastion.stop()


def away(error: Exception) -> StoreUnavailableError:
    """What an error of the connection is told as."""
    return StoreUnavailableError(f"Redis does not answer ({str(error) or type(error).__name__})")


def check_bastion(settings: Settings) -> Any:
    """The `stores.ssh.Hop` to the bastion; None: there is none.

    Raises SettingsError where nothing is behind it, BastionError where our private key cannot be used.
    """
    if settings.ssh_host is None:
        return None
    if settings.mysql_host is None and settings.redis_host is None:
        raise SettingsError("SSH_HOST: set, but neither MYSQL_HOST nor REDIS_HOST is: nothing is reached through it")
    from talentfeed.stores.ssh import Hop, own_keys

    assert settings.ssh_user and settings.ssh_key_path and settings.ssh_known_hosts  # noqa: S101, PT018 - validated
    hop = Hop(
        host=settings.ssh_host,
        port=settings.ssh_port,
        user=settings.ssh_user,
        key_path=settings.ssh_key_path,
        known_hosts=settings.ssh_known_hosts,
    )
    own_keys(hop)
    return hop


def make_bastion(settings: Settings) -> Any:
    """The `stores.bastion.Bastion` between us and the stores; None: there is none. It takes its local ports.

    Raises as `check_bastion`.
    """
    hop = check_bastion(settings)
    if hop is None:
        return None
    from talentfeed.stores.bastion import Bastion

    places = ((settings.mysql_host, settings.mysql_port), (settings.redis_host, settings.redis_port))
    return Bastion(hop, [(host, port) for host, port in places if host is not None])


def reading_account(settings: Settings, bastion: Any = None) -> Any:
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
        dial=bastion and bastion.address(settings.mysql_host, settings.mysql_port),
    )


def writing_account(settings: Settings, bastion: Any = None) -> Any:
    """The `stores.mysql.Account` that writes `activity_log` and the ledger; None: the embedded database."""
    account = reading_account(settings, bastion)
    if account is None:
        return None
    if settings.mysql_write_db is not None:
        account = dataclasses.replace(account, database=settings.mysql_write_db)
    if settings.mysql_write_user is None:
        return account
    return dataclasses.replace(
        account,
        user=settings.mysql_write_user,
        password=settings.mysql_write_password.get_secret_value(),
        settings="MYSQL_WRITE_USER and MYSQL_WRITE_PASSWORD",
    )


def open_stores(settings: Settings, *, bastion: Any = None) -> Stores:
    """Clients for what is written; they connect on first use, once the bastion is started where there is one.

    `bastion`: one that there is already; its owner closes it. Raises SettingsError, BastionError.
    """
    from talentfeed.stores.on_use import OnUse
    from talentfeed.stores.redis import line_of, open_redis

    own = make_bastion(settings) if bastion is None else None
    bastion = bastion or own
    redis = open_redis(
        host=settings.redis_host,
        port=settings.redis_port,
        password=settings.redis_password.get_secret_value(),
        scheme=settings.redis_scheme,
        db=settings.redis_db,
        ssl_ca=settings.redis_ssl_ca,
        dial=bastion.address(settings.redis_host, settings.redis_port) if bastion and settings.redis_host else None,
    )
    activity_log = OnUse(functools.partial(_open_activity_log, settings, bastion))
    account = writing_account(settings, bastion)
    return Stores(
        redis=redis,
        line=line_of(redis),
        recording=None if settings.redis_host is None else line_of(redis),
        in_process=settings.redis_host is None,
        activity_log=activity_log,
        asked=activity_log if account is None else OnUse(functools.partial(_open_ping, account)),
        rows=Rows(
            resume_subject_type=settings.resume_subject_type,
            challenge_subject_type=settings.challenge_subject_type,
        ),
        bastion=own,
    )


def _open_activity_log(settings: Settings, bastion: Any) -> Any:
    from talentfeed.stores.database import ActivityLog, sqlite_url

    return ActivityLog(
        writing_account(settings, bastion) or sqlite_url(settings.embedded_database), db_timezone=settings.db_timezone
    )


def _open_ping(account: Any) -> Any:
    from talentfeed.stores.mysql_ping import MysqlPing

    return MysqlPing(account)


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, bastion: Any = None) -> AsyncIterator[Stores]:
    """The stores for one piece of work, reached. Raises BastionError where the bastion does not let us through."""
    stores = open_stores(settings, bastion=bastion)
    try:
        if stores.bastion is not None:
            await stores.bastion.start()
            await stores.bastion.ready()
        yield stores
    finally:
        await stores.close()


def open_tables(settings: Settings, bastion: Any = None) -> contextlib.AbstractContextManager[Any]:
    """The platform's tables to be read, through a bastion that is connected where there is one. Raises SourceError."""
    account = reading_account(settings, bastion)
    if account is None:
        from talentfeed.snapshot.source import open_sqlite

        return open_sqlite(settings.embedded_database)
    from talentfeed.stores.mysql_tables import open_mysql

    return open_mysql(account, db_timezone=settings.db_timezone)


@contextlib.contextmanager
def reached_tables(settings: Settings) -> Iterator[Any]:
    """As `open_tables`, with a bastion connection of their own. Raises SourceError, BastionError."""
    with contextlib.ExitStack() as stack:
        bastion = None if settings.mysql_host is None else stack.enter_context(bastion_beside(settings))
        yield stack.enter_context(open_tables(settings, bastion))


@contextlib.contextmanager
def bastion_beside(settings: Settings) -> Iterator[Any]:
    """The bastion, connected, while blocking work goes on; None where there is none. Raises BastionError."""
    bastion = make_bastion(settings)
    if bastion is None:
        yield None
        return
    from talentfeed.stores.bastion import connected_in_a_thread

    with connected_in_a_thread(bastion):
        yield bastion


async def create_ledger(settings: Settings) -> None:
    """Create the ledger table where it is not there yet."""
    async with opened(settings) as stores:
        await stores.activity_log.ensure_ledger()
