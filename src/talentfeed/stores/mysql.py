"""An account on MySQL or MariaDB: how drivers reach it, and what its errors mean for an operator."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

CONNECT_SECONDS = 3.0
LOCK_SECONDS = 5.0  # how long the server lets a statement wait for another's lock
# Whoever uses a connection gives up after this, by cancelling: the driver's own `read_timeout` first waits until all is
# sent, which to a frozen server is never.
ANSWER_SECONDS = 15.0

ACCESS_DENIED, NO_SUCH_DATABASE, DATABASE_DENIED = 1045, 1049, 1044
NO_SUCH_TABLE, NO_SUCH_COLUMN, TABLE_DENIED, COLUMN_DENIED = 1146, 1054, 1142, 1143
DEADLOCK = 1213
# What an operator must mend; all others pass by themselves, or are about a row.
OPERATORS = {
    ACCESS_DENIED, NO_SUCH_DATABASE, DATABASE_DENIED, NO_SUCH_TABLE, NO_SUCH_COLUMN, TABLE_DENIED, COLUMN_DENIED,
    1130, 1227, 1698, 3159,
}  # fmt: skip


class Verifying(ssl.SSLContext):
    """TLS with a peer that must be `host`, by a certificate of `ca`, whatever address was dialled."""

    def __new__(cls, _host: str, _ca: Path) -> "Verifying":
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)  # verifies the certificate and the name

    def __init__(self, host: str, ca: Path) -> None:
        self._host = host
        self.load_verify_locations(cafile=str(ca))

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,  # noqa: ARG002 - of what was dialled
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """What asyncio and uvloop call."""
        return super().wrap_bio(incoming, outgoing, server_side, self._host, session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where a database is and who we are there. As text it holds no secret."""

    host: str
    port: int = 3306
    user: str
    password: str = field(default="", repr=False)
    database: str
    ssl_ca: Path | None = None  # TLS, with the certificate and the host's name verified
    dial: tuple[str, int] | None = None  # what leads to the host, where that is a forward's end on this machine
    settings: str = "MYSQL_USER and MYSQL_PASSWORD"  # where an operator mends it

    def __str__(self) -> str:
        way = "" if self.dial is None else " through the bastion"
        return f"mysql://{self.user}@{self.host}:{self.port}/{self.database}{way}"

    def bulk_url(self) -> str:
        """For connectorx. Holds the password.

        Through a forward this driver verifies the certificate but not the host's name: it can compare it with the
        dialled address only. What opened the connection before, `arguments()`, verifies both.
        """
        # with a socket the driver could end at another server: one that listens on this machine behind a forward
        options = {"prefer_socket": "false", "tcp_connect_timeout_ms": str(int(CONNECT_SECONDS * 1000))}
        if self.ssl_ca is not None:
            mode = "VERIFY_IDENTITY" if self.dial is None else "VERIFY_CA"
            options |= {"ssl-mode": mode, "ssl-ca": str(self.ssl_ca)}
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        host, port = self.dial or (self.host, self.port)
        host = f"[{host}]" if ":" in host else host
        return f"mysql://{who}@{host}:{port}/{quote(self.database, safe='')}?{urlencode(options)}"

    def arguments(self, *, lock_seconds: float = LOCK_SECONDS) -> dict[str, Any]:
        """For asyncmy. Times are UTC in such a session, and a value that does not fit is refused, not bent."""
        wait = max(1, round(lock_seconds))
        host, port = self.dial or (self.host, self.port)
        return {
            "host": host,
            "port": port,
            "user": self.user,
            "password": self.password.encode(),  # a text would be sent as latin-1
            "db": self.database,
            "charset": "utf8mb4",
            "connect_timeout": CONNECT_SECONDS,
            "ssl": None if self.ssl_ca is None else Verifying(self.host, self.ssl_ca),
            "init_command": f"SET time_zone = '+00:00', innodb_lock_wait_timeout = {wait}, lock_wait_timeout = {wait}, "
            "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
        }


def number(error: BaseException) -> int | None:
    """The server's or the driver's error number; None where it has none."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else None


def explained(error: BaseException, account: Account) -> str:
    """One line: where, what, and the way out. Never a secret."""
    return f"{account}: {_reason(error, account)}"


def _reason(error: BaseException, account: Account) -> str:
    text = str(error.args[1]) if len(error.args) > 1 else str(error) or type(error).__name__
    text = " ".join(text.split())
    match number(error):
        case 1045 | 1698:
            return f"it refuses this account ({text}); check {account.settings}"
        case 1044:
            return f"this account may not use the schema `{account.database}`; check MYSQL_DB, or grant it"
        case 1049:
            return f"there is no schema `{account.database}`; check MYSQL_DB"
        case 1142 | 1143 | 1227:
            return f"a right is missing, or the table: {text}; `talentfeed check` lists what to grant"
        case 1130:
            return f"it lets nobody in from this machine ({text}); create the account for this host"
        case 3159:
            return "it takes no connection without TLS; set MYSQL_SSL_CA"
        case 2003 if account.dial is not None and "certificate" not in text.lower():  # the forward took it and let go
            return "no answer through the bastion; check MYSQL_HOST and MYSQL_PORT, as the bastion sees them"
        case 2003:
            return f"cannot connect ({_network(text)}); check MYSQL_HOST and MYSQL_PORT, and whether it runs"
        case 2013 if account.dial is not None:
            return "no answer through the bastion; check MYSQL_HOST and MYSQL_PORT, as the bastion sees them"
    if isinstance(error, TimeoutError):  # where nothing is said of it, the one that every call has
        said = str(error) or f"no answer within {ANSWER_SECONDS:g} s"
        return f"{said}; check MYSQL_HOST and MYSQL_PORT, and whether it runs"
    if isinstance(error, ssl.SSLError):
        return f"TLS is refused ({text}); check MYSQL_SSL_CA, and that MYSQL_HOST is a name in its certificate"
    return text


def _network(text: str) -> str:
    for part, meaning in _NETWORK.items():
        if part in text:
            return meaning
    return text


_NETWORK: Mapping[str, str] = {
    "Name or service not known": "no such host",
    "Temporary failure in name resolution": "the host's name cannot be resolved now",
    "No address associated": "no such host",
    "Connect call failed": "nothing listens there",
    "certificate verify failed": "TLS: its certificate is not of MYSQL_SSL_CA, or for another host name",
}
