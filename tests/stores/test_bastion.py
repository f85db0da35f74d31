"""The bastion, against a real sshd: whom it trusts, what it says when something is wrong, and how it comes back."""

import asyncio
import contextlib
import dataclasses
import getpass
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError
from tests.contracts.backends import RedisServer
from tests.contracts.sshd import SshServer

from talentfeed.errors import BastionError
from talentfeed.stores.bastion import Bastion, Patience, connected_in_a_thread
from talentfeed.stores.redis import open_redis
from talentfeed.stores.ssh import Hop

pytestmark = pytest.mark.anyio

QUICK = Patience(keepalive=0.3, missed=2, first=0.05, most=0.2, fatal=0.2)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    """One that the test may kill, freeze and give another key."""
    folder = tmp_path / "sshd"
    folder.mkdir()
    server = SshServer(folder)
    server.start()
    yield server
    server.kill()


@contextlib.asynccontextmanager
async def running(hop: Hop, *targets: tuple[str, int]) -> AsyncIterator[Bastion]:
    bastion = Bastion(hop, targets, patience=QUICK)
    try:
        await bastion.start()
        yield bastion
    finally:
        await bastion.stop()


@contextlib.asynccontextmanager
async def through(bastion: Bastion, target: tuple[str, int], *, patient: bool = False) -> AsyncIterator[Redis]:
    host, port = bastion.address(*target)
    client = Redis(host=host, port=port, socket_timeout=60) if patient else open_redis(host=host, port=port)
    try:
        yield client
    finally:
        await client.aclose()


async def eventually(what: Callable[[], bool], *, within: float = 90.0) -> None:
    async with asyncio.timeout(within):
        while not what():  # noqa: ASYNC110 - of another process, which sets no event
            await asyncio.sleep(0.02)


async def answers(client: Redis) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(RedisError):
                if await client.ping():
                    return
            await asyncio.sleep(0.02)


async def refusal(hop: Hop) -> BastionError:
    async with running(hop, ("127.0.0.1", 1)) as bastion:
        with pytest.raises(BastionError) as caught:
            await bastion.ready()
        assert not bastion.state.up
        assert bastion.state.kind == caught.value.kind
    assert "\n" not in str(caught.value)
    return caught.value


# ---------------------------------------------------------------- what it carries


async def test_one_connection_carries_all_forwards_and_they_are_bound_to_loopback(
    server: SshServer, redis_server: RedisServer
) -> None:
    targets = [("127.0.0.1", redis_server.port), ("localhost", redis_server.port)]
    async with running(server.hop, *targets) as bastion:
        await bastion.ready()
        assert len({bastion.address(*target) for target in targets}) == 2
        for target in targets:
            assert bastion.address(*target)[0] == "127.0.0.1"
            async with through(bastion, target) as client:
                assert await client.ping()
        assert bastion.state.up
        assert bastion.state.connections == 1
    assert server.log().count("Accepted publickey") == 1


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_megabytes_go_both_ways_unharmed(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], ssh_server: SshServer, redis_server: RedisServer
) -> None:
    value = os.urandom(6_000_000)
    target = ("127.0.0.1", redis_server.port)

    async def there_and_back() -> bytes:
        async with running(ssh_server.hop, target) as bastion, through(bastion, target, patient=True) as client:
            await client.set("large", value)
            found: Any = await client.getdel("large")
            return bytes(found)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(there_and_back()) == value


def test_work_that_blocks_has_it_on_a_loop_of_its_own(ssh_server: SshServer, redis_server: RedisServer) -> None:
    import redis as blocking

    target = ("127.0.0.1", redis_server.port)
    bastion = Bastion(ssh_server.hop, [target])
    host, port = bastion.address(*target)
    with connected_in_a_thread(bastion), blocking.Redis(host=host, port=port) as client:
        assert client.ping()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, port))


async def test_what_comes_before_the_first_connection_waits_for_it(
    ssh_server: SshServer, redis_server: RedisServer
) -> None:
    target = ("127.0.0.1", redis_server.port)
    bastion = Bastion(ssh_server.hop, [target], patience=Patience(hold=30))
    async with through(bastion, target, patient=True) as client:
        await bastion.start()
        assert bastion.state.connections == 0
        assert await client.ping()
    await bastion.stop()


async def test_a_target_that_is_not_reached_is_named_with_its_reason(server: SshServer) -> None:
    async with running(server.hop, ("127.0.0.1", 1)) as bastion:
        assert await bastion.unreached() == {"127.0.0.1:1": "Connection refused"}
        async with through(bastion, ("127.0.0.1", 1)) as client:
            with pytest.raises(RedisError):
                await client.ping()
    server.kill()
    server.options = ["PermitOpen 127.0.0.1:2"]
    server.start()
    async with running(server.hop, ("127.0.0.1", 1)) as bastion:
        ((target, reason),) = (await bastion.unreached()).items()
        assert target == "127.0.0.1:1"
        assert "PermitOpen" in reason


# ---------------------------------------------------------------- whom it trusts


@pytest.mark.parametrize("content", [None, "", "elsewhere.example ssh-ed25519 AAAA\n"])
async def test_an_unknown_host_key_is_refused_with_the_line_that_makes_it_known(
    content: str | None, ssh_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "known_hosts").write_text(ssh_server.known_hosts.read_text())  # of no concern
    monkeypatch.setenv("HOME", str(home))
    file = tmp_path / "known_hosts"
    if content is not None:
        file.write_text(content)
    hop = dataclasses.replace(ssh_server.hop, known_hosts=file)
    error = await refusal(hop)
    assert (error.kind, error.fatal) == ("unknown host key", True)
    line = str(error).rsplit("add this line: ", 1)[1]
    assert line.split()[:3] == ssh_server.known_hosts.read_text().split()[:3]
    file.write_text(f"{line}\n")
    async with running(hop, ("127.0.0.1", 1)) as bastion:
        await bastion.ready()


async def test_another_host_key_than_the_known_one_is_refused_before_we_show_who_we_are(server: SshServer) -> None:
    server.know("stranger")
    error = await refusal(server.hop)
    assert (error.kind, error.fatal) == ("host key mismatch", True)
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in str(error)
    assert "Accepted" not in server.log()


async def test_a_revoked_host_key_is_refused(server: SshServer) -> None:
    known = server.known_hosts.read_text()
    server.known_hosts.write_text(known + f"@revoked {known}")
    assert (await refusal(server.hop)).kind == "host key mismatch"


async def test_a_known_hosts_file_that_cannot_be_read_is_named(ssh_server: SshServer, tmp_path: Path) -> None:
    error = await refusal(dataclasses.replace(ssh_server.hop, known_hosts=tmp_path))
    assert (error.kind, error.fatal) == ("known hosts file", True)
    assert f"SSH_KNOWN_HOSTS: {tmp_path}" in str(error)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o601])
async def test_a_key_file_that_others_may_use_is_refused(mode: int, server: SshServer) -> None:
    server.hop.key_path.chmod(mode)
    error = await refusal(server.hop)
    assert (error.kind, error.fatal) == ("key file", True)
    assert f"chmod 600 {server.hop.key_path}" in str(error)
    assert "Accepted" not in server.log()


async def test_a_key_file_that_is_absent_or_no_key_or_locked_is_named(ssh_server: SshServer, tmp_path: Path) -> None:
    locked, text = tmp_path / "locked", tmp_path / "text"
    ssh_server.make_key("locked", passphrase="pass phrase")
    (ssh_server.folder / "locked").rename(locked)
    text.write_text("no key at all")
    text.chmod(0o600)
    said = {tmp_path / "absent": "No such file", locked: "without a passphrase", text: "cannot be used"}
    for path, why in said.items():
        error = await refusal(dataclasses.replace(ssh_server.hop, key_path=path))
        assert (error.kind, error.fatal) == ("key file", True)
        assert f"SSH_KEY_PATH: {path} " in str(error)
        assert why in str(error)


async def test_a_key_that_the_bastion_does_not_know_is_refused_and_no_other_key_is_tried(
    ssh_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tmp_path / ".ssh" / "id_ed25519"
    good.parent.mkdir()
    good.write_text(ssh_server.hop.key_path.read_text())
    good.chmod(0o600)
    (tmp_path / ".ssh" / "config").write_text(f"Host *\n  IdentityFile {good}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    error = await refusal(dataclasses.replace(ssh_server.hop, key_path=ssh_server.folder / "stranger"))
    assert (error.kind, error.fatal) == ("key refused", True)
    assert "authorized_keys" in str(error)
    assert getpass.getuser() in str(error)


async def test_a_bastion_that_is_not_there_is_worth_another_try(ssh_server: SshServer) -> None:
    for change, said in ({"port": 1}, "nothing listens there"), ({"host": "no-such-host.invalid"}, "cannot connect ("):
        error = await refusal(dataclasses.replace(ssh_server.hop, **change))
        assert (error.kind, error.fatal) == ("unreachable", False)
        assert said in str(error)
        assert "check SSH_HOST and SSH_PORT" in str(error)


# ---------------------------------------------------------------- how it comes back


async def test_a_killed_bastion_sends_clients_away_at_once_and_comes_back_on_the_same_ports(
    server: SshServer, redis_server: RedisServer
) -> None:
    target = ("127.0.0.1", redis_server.port)
    async with running(server.hop, target) as bastion, through(bastion, target) as client:
        await answers(client)
        place = bastion.address(*target)
        server.kill()
        await eventually(lambda: not bastion.state.up)
        down = bastion.state
        await eventually(lambda: bastion.state.kind == "unreachable")
        assert bastion.state.since == down.since, "since it is down, not since the last attempt"
        for _ in range(3):
            with pytest.raises(RedisError):
                await client.ping()
        with pytest.raises(OSError, match="in use"):
            socket.create_server(place)  # nobody else may have the port meanwhile
        server.start()
        await answers(client)
        assert bastion.address(*target) == place
        assert bastion.state.up
        assert bastion.state.connections == 2


async def test_a_frozen_bastion_is_given_up_and_comes_back(server: SshServer, redis_server: RedisServer) -> None:
    target = ("127.0.0.1", redis_server.port)
    async with running(server.hop, target) as bastion, through(bastion, target) as client:
        await answers(client)
        with server.frozen():
            await eventually(lambda: not bastion.state.up)
            with pytest.raises(RedisError):
                await client.ping()
        await answers(client)
        assert bastion.state.connections >= 2


async def test_a_target_that_dies_behind_a_bastion_that_lives_is_reached_again(
    ssh_server: SshServer, tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path)
    redis.start()
    target = ("127.0.0.1", redis.port)
    try:
        async with running(ssh_server.hop, target) as bastion, through(bastion, target) as client:
            await answers(client)
            redis.kill()
            with pytest.raises(RedisError):
                await client.ping()
            with pytest.raises(RedisError):
                await client.ping()
            redis.start()
            await answers(client)
            assert bastion.state.connections == 1
    finally:
        redis.kill()


async def test_what_somebody_has_to_mend_needs_no_restart_once_it_is_mended(server: SshServer) -> None:
    async with running(server.hop, ("127.0.0.1", 1)) as bastion:
        await bastion.ready()
        server.kill()
        server.make_key("host")
        server.start()
        await eventually(lambda: bastion.state.kind == "host key mismatch")
        server.know("host")
        await eventually(lambda: bastion.state.up)


async def test_the_pauses_between_attempts_grow(server: SshServer, caplog: pytest.LogCaptureFixture) -> None:
    server.kill()
    attempts: list[float] = []

    class Counting(Bastion):
        async def _one_connection(self) -> tuple[BastionError, float]:
            attempts.append(time.monotonic())
            return await super()._one_connection()

    patience = Patience(first=0.02, most=0.2)
    bastion = Counting(server.hop, [("127.0.0.1", 1)], patience=patience)
    await bastion.start(unheard=True)
    await eventually(lambda: len(attempts) > 7)
    await bastion.stop()
    pauses = [after - before for before, after in itertools.pairwise(attempts)]
    for number, pause in enumerate(pauses):
        assert pause >= 0.7 * min(patience.first * 2**number, patience.most)
    assert sum("cannot connect" in line for line in caplog.messages) == 1, "the same fault is said once"


def test_asyncssh_is_imported_only_where_there_is_a_bastion() -> None:
    code = (
        "import sys, talentfeed.cli; from talentfeed.settings import Settings; from talentfeed.wiring import wire; "
        "wire(Settings(_env_file=None, mysql_host='h', redis_host='h')); print('asyncssh' in sys.modules)"
    )
    environment = {"PYTHONPATH": "src", "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "False"
