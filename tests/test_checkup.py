"""`talentfeed check` where something else answers than it should: one line, with the way out."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.contracts.backends import RedisServer
from tests.contracts.mariadb import MariaServer

from talentfeed import checkup
from talentfeed.errors import SourceError
from talentfeed.settings import Settings
from talentfeed.stores import mysql, mysql_tables

Said = Callable[..., dict[str, str]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, maria_server: MariaServer, redis_server: RedisServer) -> Said:
    """What is wrong, by the check's name."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    account = maria_server.account("mysql")
    assert redis_server.port is not None
    place = {
        "mysql_host": account.host,
        "mysql_port": account.port,
        "mysql_user": account.user,
        "mysql_password": account.password,
        "mysql_db": "mysql",
        "redis_host": "127.0.0.1",
        "redis_port": redis_server.port,
    }

    def check(**changes: object) -> dict[str, str]:
        settings = Settings(_env_file=None, **{**place, **changes})  # type: ignore[call-arg, arg-type]
        return {finding.check: finding.text for finding in checkup.check_all(settings) if finding.state == "wrong"}

    return check


def test_a_database_number_that_redis_does_not_have_is_named(said: Said) -> None:
    assert said(redis_db=9_999)["redis"].endswith("check REDIS_DB")


def test_tls_with_a_redis_that_has_none_points_at_the_scheme(said: Said) -> None:
    assert "check REDIS_HOST, REDIS_PORT and REDIS_SCHEME" in said(redis_scheme="tls")["redis"]


def test_what_is_no_redis_points_at_its_port(said: Said, maria_server: MariaServer) -> None:
    assert "whether a Redis runs there" in said(redis_port=maria_server.port)["redis"]


def test_what_takes_a_connection_and_is_no_mysql_points_at_its_port(
    maria_server: MariaServer, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (mysql, mysql_tables):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 1.0)
    assert redis_server.port is not None
    account = replace(maria_server.account("mysql"), port=redis_server.port)
    said = r"no answer within 1 s; check MYSQL_HOST and MYSQL_PORT, and whether it runs$"
    with pytest.raises(SourceError, match=said), mysql_tables.open_mysql(account):
        pass
