"""The commands and the server with MySQL and Redis behind a bastion, by TLS, as `credentials/.env` names them."""

import gc
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.contracts import mysql_schema
from tests.contracts.backends import RedisServer
from tests.contracts.mariadb import MariaServer
from tests.contracts.sshd import SshServer
from tests.test_commands import Place, stop
from tests.test_mysql_service import eventually, like

from talentfeed.checkup import check_all
from talentfeed.demo.generate import generate
from talentfeed.settings import Settings, load

SCHEMA = "behind"
READER, WRITER = ("bastion_reader", "re@der/pw"), ("bastion_writer", "wr:iter%pw")


@pytest.fixture(scope="module")
def platform(maria_server: MariaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaServer]:
    """The platform's schema with demo data and without our ledger; who may read, and who may write what is ours."""
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    generate(path, scale=0.02, seed=3, progress=lambda _stage, _done: None)
    mysql_schema.create(maria_server, SCHEMA)
    mysql_schema.copy(path, maria_server, SCHEMA)
    maria_server.grant(f"SELECT ON {SCHEMA}.*", *READER)
    maria_server.grant(f"SELECT, INSERT ON {SCHEMA}.activity_log", *WRITER)
    yield maria_server
    maria_server.execute(f"DROP DATABASE {SCHEMA}")


@pytest.fixture(scope="module")
def bastion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    server = SshServer(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def place(
    platform: MariaServer,
    redis_server: RedisServer,
    certificates: Path,
    bastion: SshServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Place:
    """With a snapshot, and with the ledger made by who may."""
    place = Place(tmp_path_factory.mktemp("place"))
    settings = {
        "ENVIRONMENT": "prod",
        "MYSQL_HOST": "localhost",  # as the bastion sees it, and as its certificate names it
        "MYSQL_PORT": str(platform.port),
        "MYSQL_USER": READER[0],
        "MYSQL_PASSWORD": READER[1],
        "MYSQL_DB": SCHEMA,
        "MYSQL_SSL_CA": str(certificates / "ca.crt"),
        "MYSQL_WRITE_USER": WRITER[0],
        "MYSQL_WRITE_PASSWORD": WRITER[1],
        "REDIS_HOST": "localhost",
        "REDIS_PORT": str(redis_server.tls_port),
        "REDIS_SCHEME": "tls",
        "REDIS_SSL_CA": str(certificates / "ca.crt"),
        "REDIS_DB": "3",
        **bastion.settings,
        "FLUSH_THRESHOLD_ACTIVITIES": "1",
        "ADMIN_API_KEY": "k",
    }
    (place.folder / "credentials").mkdir()
    (place.folder / "credentials/.env").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
    ledger = place.run("ledger")
    platform.execute(ledger.stdout, database=SCHEMA)
    platform.execute(f"GRANT SELECT, INSERT, DELETE ON {SCHEMA}.talentfeed_ledger TO '{WRITER[0]}'@'%'")
    built = place.run("build")
    assert built.returncode == 0, built.stderr
    return place


@pytest.fixture
def up(bastion: SshServer) -> Iterator[SshServer]:
    """The bastion, which is there again afterwards."""
    yield bastion
    if bastion.process is None:
        bastion.start()


def stored(platform: MariaServer, event_id: str) -> int:
    sql = f"SELECT COUNT(*) FROM activity_log WHERE properties LIKE '%\"{event_id}\"%'"  # noqa: S608
    return int(platform.execute(sql, database=SCHEMA)[0][0])


def metric(place: Place, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{place.port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    (value,) = [line.split()[1] for line in lines if line.split(" ", 1)[0] == name]
    return float(value)


def degraded(place: Place, **headers: str) -> dict[str, str]:
    return {part["part"]: part["reason"] for part in place.call("GET", "/health/ready", **headers)[1]["degraded"]}


def test_check_serve_a_feed_a_like_and_its_row_in_activity_log(place: Place, platform: MariaServer) -> None:
    result = place.run("check")
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    assert lines[0].startswith("✓ bastion: ssh://")
    assert f"✓ read: mysql://{READER[0]}@localhost:{platform.port}/{SCHEMA} through the bastion answers" in lines
    assert any(line.startswith("✓ redis: tls://localhost:") and "through the bastion" in line for line in lines)
    assert json.loads(lines[-1])["ok"] is True
    server = place.start("serve")
    try:
        feed = place.feed(user_id=7)
        assert len(feed["mix_ids"]) == 24
        assert like(place, "through-the-bastion") == 202
        eventually(lambda: stored(platform, "through-the-bastion") == 1)
        assert place.call("POST", "/api/search/reload", **{"X-Admin-Key": "k"})[0] == 200  # builds in another process
        health = eventually(lambda: (found := place.call("GET", "/health/ready")[1])["status"] == "ok" and found)
        assert health["stores"]["bastion"] == "ok"
        flushed = place.run("flush")
        assert flushed.returncode == 0, flushed.stderr
    finally:
        assert stop(server) == 0
    eventually(lambda: stored(platform, feed["feed_id"]) == 25)


def test_while_the_bastion_is_away_or_frozen_feeds_go_on_and_all_comes_back(
    place: Place, platform: MariaServer, up: SshServer
) -> None:
    server = place.start("serve")
    try:
        assert like(place, "before") == 202
        assert metric(place, "talentfeed_bastion_connected") == 1
        up.kill()
        for user in range(10):
            assert len(place.feed(user_id=user)["mix_ids"]) == 24
        assert like(place, "meanwhile") == 503
        assert {"bastion", "redis", "database"} == eventually(
            lambda: len(degraded(place)) == 3 and set(degraded(place))
        )
        eventually(lambda: degraded(place).get("bastion") == "unreachable")  # first it is lost
        assert metric(place, "talentfeed_bastion_connected") == 0
        up.start()
        eventually(lambda: like(place, "after") == 202)
        eventually(lambda: place.call("GET", "/health/ready")[1]["status"] == "ok")
        with up.frozen():
            for user in range(10):
                assert len(place.feed(user_id=user)["mix_ids"]) == 24
            eventually(lambda: degraded(place).get("bastion"), within=60)
        eventually(lambda: like(place, "thawed") == 202)
        eventually(lambda: all(stored(platform, event) == 1 for event in ("before", "after", "thawed")))
        assert metric(place, "talentfeed_bastion_connections_total") >= 3
    finally:
        stop(server)
    assert stored(platform, "meanwhile") == 0, "it was refused"


def test_a_server_that_starts_before_the_bastion_serves_its_last_snapshot_and_then_all(
    place: Place, platform: MariaServer, up: SshServer
) -> None:
    up.kill()
    server = place.start("serve")
    try:
        assert len(place.feed(user_id=1)["mix_ids"]) == 24
        eventually(lambda: degraded(place).get("bastion") == "unreachable")
        up.start()
        eventually(lambda: place.call("GET", "/health/ready")[1]["status"] == "ok")
        assert like(place, "late") == 202
        eventually(lambda: stored(platform, "late") == 1)
    finally:
        stop(server)


def test_a_first_start_before_the_bastion_waits_for_it_and_builds(place: Place, up: SshServer) -> None:
    place.environment["DATA_DIR"] = "elsewhere"
    up.kill()
    try:
        server = place.start("serve", ready=(503,))
        try:
            told = eventually(lambda: degraded(place).get("build"))
            assert told == "the last build failed; the log and X-Admin-Key tell why", "names are not for everybody"
            reason = degraded(place, **{"X-Admin-Key": "k"})["build"]
            assert "check SSH_HOST and SSH_PORT" in reason
            up.start()
            eventually(lambda: place.call("GET", "/health/ready")[0] == 200, within=120)
            assert len(place.feed(user_id=1)["mix_ids"]) == 24
        finally:
            stop(server)
    finally:
        del place.environment["DATA_DIR"]


def test_a_key_file_that_others_may_use_is_refused_at_start(place: Place, bastion: SshServer) -> None:
    bastion.hop.key_path.chmod(0o644)
    try:
        result = place.run("serve")
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert f"chmod 600 {bastion.hop.key_path}" in result.stderr
    finally:
        bastion.hop.key_path.chmod(0o600)


# ---------------------------------------------------------------- docs/connections.md


PAGE = (Path(__file__).parents[1] / "docs/connections.md").read_text(encoding="utf-8")
FAULTS = re.findall(r"^\| `(✗ .*?)` \| .*? \|$", PAGE, re.MULTILINE)


def lines_of(place: Place, **changes: Any) -> list[str]:
    """What `talentfeed check` prints with these settings in place of those of the file."""
    settings = load(place.folder / "credentials/.env").model_copy(update=changes)
    sign = {"ok": "✓", "warning": "!", "wrong": "✗"}
    return [f"{sign[finding.state]} {finding.check}: {finding.text}" for finding in check_all(settings)]


def test_the_page_shows_what_check_prints(place: Place) -> None:
    shown = re.findall(r"^[✓!✗] .*$", PAGE[PAGE.index("```console") :].split("```")[1], re.MULTILINE)
    places = re.compile(r"\w+://[^ ]+|version [\d.]+")
    assert [places.sub("…", line) for line in lines_of(place)] == [places.sub("…", line) for line in shown]


def test_the_pages_settings_are_settings(certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = next(block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "SSH_HOST=" in block)
    named = re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)
    assert {name.lower() for name in named} <= set(Settings.model_fields)
    file = tmp_path / ".env"
    file.write_text(re.sub(r"/etc/talentfeed/[\w-]+\.pem", str(certificates / "ca.crt"), example))
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    loaded = load(file)
    assert (loaded.mysql_host, loaded.ssh_user, loaded.redis_scheme) == ("db.internal", "feed", "tls")


# Where TLS fails asyncmy leaves the socket it began with to the garbage collector, which warns of it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_fault_on_the_page_is_said_so(
    place: Place, bastion: SshServer, certificates: Path, tmp_path: Path
) -> None:
    unknown, other, exposed = tmp_path / "unknown", tmp_path / "other", tmp_path / "open"
    unknown.touch()
    other.write_text(f"[127.0.0.1]:{bastion.port} {(bastion.folder / 'stranger.pub').read_text()}")
    exposed.write_text(bastion.hop.key_path.read_text())
    exposed.chmod(0o640)
    stranger = certificates / "other.crt"
    said = [
        line
        for changes in (
            {"ssh_port": 1},
            {"ssh_known_hosts": unknown},
            {"ssh_known_hosts": other},
            {"ssh_key_path": bastion.folder / "stranger"},
            {"ssh_key_path": exposed},
            {"ssh_key_path": tmp_path / "absent"},
            {"mysql_port": 1, "redis_port": 1},
            {"mysql_ssl_ca": stranger, "redis_host": "127.0.0.1"},
            {"mysql_host": "127.0.0.1", "redis_ssl_ca": stranger},
            {"mysql_password": SecretStr("guess"), "redis_password": SecretStr("guess")},
        )
        for line in lines_of(place, **changes)
        if line.startswith("✗")
    ]
    patterns = [re.compile(re.escape(fault).replace("…", ".*")) for fault in FAULTS]
    assert len(patterns) == 13
    for fault, pattern in zip(FAULTS, patterns, strict=True):
        assert any(pattern.fullmatch(line) for line in said), f"{fault}\n is none of\n" + "\n".join(said)
    for line in said:
        known = line.startswith("✗ write: ") or any(pattern.fullmatch(line) for pattern in patterns)
        assert known, f"not on the page: {line}"
        assert "guess" not in line
    gc.collect()  # here, not in a test that comes after
