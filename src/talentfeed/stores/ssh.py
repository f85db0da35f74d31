"""An SSH connection to a bastion: whose key we trust, which key we show, and what its errors mean for an operator.

Import this module only where there is a bastion: asyncssh takes a quarter of a second to import.
"""

import asyncio
import logging
import socket
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from talentfeed.errors import BastionError

CONNECT_SECONDS = 5.0
LOGIN_SECONDS = 10.0
OTHERS = 0o077  # the permission bits of everybody but the owner
SSH_PORT = 22

asyncssh.set_log_level(logging.WARNING)  # it tells of each channel otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Where the bastion is, who we are there, and the file with its host key."""

    host: str
    port: int = SSH_PORT
    user: str
    key_path: Path
    known_hosts: Path

    def __str__(self) -> str:
        return f"ssh://{self.user}@{self.host}:{self.port}"

    @property
    def known_as(self) -> str:
        """As a known_hosts file names it."""
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"


class Client(asyncssh.SSHClient):
    """Remembers why its connection ended; None: in good order."""

    lost: Exception | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc


def own_keys(hop: Hop) -> list[asyncssh.SSHKeyPair]:
    """Our private key. Raises BastionError where it is absent, may be used by others, or cannot be used."""
    path = hop.key_path
    try:
        mode = path.stat().st_mode & 0o777
        if mode & OTHERS:
            raise _key_file(f"{path} has mode {mode:04o}, so that others may use it; mend it with: chmod 600 {path}")
        return list(asyncssh.load_keypairs(str(path)))
    except OSError as error:
        raise _key_file(f"{path} cannot be read: {error.strerror}; name the file of a private key") from error
    except ValueError as error:  # of asyncssh: no key, of a kind that it does not know, or encrypted
        raise _key_file(f"{path} cannot be used: {error}; name a private key without a passphrase") from error


async def connect(hop: Hop, *, keepalive: float, missed: int) -> tuple[asyncssh.SSHClientConnection, Client]:
    """A connection to a bastion that showed the known host key. Raises BastionError: one line, with the way out.

    keepalive: seconds of silence after which it is asked for a sign of life; it is lost when it owes `missed` of them.
    """
    keys, known = own_keys(hop), await _known_hosts(hop)
    try:
        connection, client = await asyncssh.create_connection(
            Client,
            hop.host,
            hop.port,
            username=hop.user,
            client_keys=keys,
            known_hosts=known,  # never None, which accepts any key; nor empty, which means the home folder's file
            x509_trusted_certs=None,
            config=None,
            agent_path=None,
            preferred_auth=("publickey",),
            connect_timeout=CONNECT_SECONDS,
            login_timeout=LOGIN_SECONDS,
            keepalive_interval=keepalive,
            keepalive_count_max=missed,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise await _host_key(hop, known, error) from error
    except asyncssh.PermissionDenied as error:
        raise BastionError(
            f"{hop}: it refuses our key; check SSH_USER, and that the public half of {hop.key_path} is in that "
            "user's authorized_keys",
            kind="key refused",
            fatal=True,
        ) from error
    except asyncssh.KeyExchangeFailed as error:
        text = f"{hop}: no common algorithm, or its host key is of another type than in {hop.known_hosts}: {error}"
        raise BastionError(text, kind="no common algorithm", fatal=True) from error
    except (asyncssh.Error, OSError, ValueError) as error:
        raise _unreachable(hop, error) from error
    assert isinstance(client, Client)  # noqa: S101 - it is what we asked for
    return connection, client


def lost(hop: Hop, client: Client) -> BastionError:
    """What ended a connection that there was."""
    reason = "it was closed" if client.lost is None else str(client.lost) or type(client.lost).__name__
    return BastionError(f"{hop}: {reason}", kind="lost")


# ---------------------------------------------------------------- host keys


async def _known_hosts(hop: Hop) -> asyncssh.SSHKnownHosts:
    try:
        return asyncssh.import_known_hosts(hop.known_hosts.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise await _unknown(hop, f"there is no file {hop.known_hosts} (SSH_KNOWN_HOSTS)") from None
    except (OSError, ValueError) as error:
        text = f"SSH_KNOWN_HOSTS: {hop.known_hosts} cannot be read: {error}"
        raise BastionError(text, kind="known hosts file", fatal=True) from error


async def _host_key(hop: Hop, known: asyncssh.SSHKnownHosts, error: Exception) -> BastionError:
    """Why its host key was refused: we know another one, or none."""
    trusted, authorities, revoked, *_ = asyncssh.match_known_hosts(
        known, hop.host, "", None if hop.port == SSH_PORT else hop.port
    )
    if not (trusted or authorities or revoked):
        return await _unknown(hop, f"{hop.known_hosts} has no key of it (SSH_KNOWN_HOSTS)")
    return BastionError(
        f"{hop}: its host key is NOT the one in {hop.known_hosts} ({error}): somebody may stand in between. Ask its "
        f"administrator; only if the key was changed on purpose, remove the old one: "
        f"ssh-keygen -R '{hop.known_as}' -f {hop.known_hosts}",
        kind="host key mismatch",
        fatal=True,
    )


async def _unknown(hop: Hop, why: str) -> BastionError:
    """With the line to add, where the bastion answers."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            key = await asyncssh.get_server_host_key(hop.host, hop.port, config=None)
        assert key is not None  # noqa: S101 - None is for exchanges without a host key, which we do not ask for
    except (asyncssh.Error, OSError, ValueError) as error:
        return _unreachable(hop, error)
    line = f"{hop.known_as} {key.export_public_key().decode().strip()}"
    return BastionError(
        f"{hop}: its host key is unknown: {why}. Compare {key.get_fingerprint()} with its administrator, then add "
        f"this line: {line}",
        kind="unknown host key",
        fatal=True,
    )


# ---------------------------------------------------------------- other errors


def _key_file(text: str) -> BastionError:
    return BastionError(f"SSH_KEY_PATH: {text}", kind="key file", fatal=True)


def _unreachable(hop: Hop, error: Exception) -> BastionError:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, socket.gaierror):
        text = "no such host" if error.errno in {socket.EAI_NONAME, socket.EAI_NODATA} else str(error.strerror)
    elif isinstance(error, ConnectionRefusedError):
        text = "nothing listens there"
    elif isinstance(error, TimeoutError):
        text = f"no answer within {CONNECT_SECONDS:g} s"
    return BastionError(
        f"{hop}: cannot connect ({text}); check SSH_HOST and SSH_PORT, and whether it runs", kind="unreachable"
    )
