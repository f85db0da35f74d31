"""The commands: each a few lines over the rooms below."""

import contextlib
import dataclasses
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from talentfeed import __version__, console, logs, remote
from talentfeed import settings as settings_module
from talentfeed.errors import SettingsError, TalentFeedError
from talentfeed.settings import Settings

Made_ = TypeVar("Made_")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A personal feed of 24 items in about a millisecond.\n\nStart here:  talentfeed demo",
)

AsOf = Annotated[
    str | None,
    typer.Option(
        help="Take ages against this UTC time instead of now: ISO 8601, seconds since 1970, or `now`. "
        "Default: the day an imported catalogue ends, else now."
    ),
]


# ---------------------------------------------------------------- commands


@app.command()
def demo(
    scale: Annotated[
        float | None, typer.Option(min=0.001, max=100, help="1 is today's size: 198,000 users, 1,962 videos.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Other seed, other people and videos.")] = None,
    reset: Annotated[bool, typer.Option(help="Make the data anew, even where it is there.")] = False,
    serve_it: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the feed when it is made.")] = True,
) -> None:
    """Make a platform's database with made-up people and videos, build, and serve the feed.

    \b
    talentfeed demo
    talentfeed demo --scale 0.01 --seed 3 --no-serve
    """
    settings = _start()
    from talentfeed.demo import place

    database = settings.embedded_database
    made = place.describe(database)
    if reset or not place.is_demo(made, seed=seed, scale=scale):
        from talentfeed.demo.generate import generate

        with _only_user_of(settings), console.progress() as progress:
            _replace_database(
                settings,
                lambda path: generate(path, scale=scale or 1.0, seed=7 if seed is None else seed, progress=progress),
                keep=not (reset and place.is_demo(made)),
            )
        _build_in_child(None)
    else:
        console.say(f"Using the data in {database}, made {console.ago(made.now)}; --reset makes it anew.")
    settings = _with_demo_key(settings, make=True)
    if serve_it:
        _serve(settings, as_of=None, greet=True)


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="A folder in the format of docs/data-import.md.")],
) -> None:
    """Load a dataset folder of real data into the embedded database; then serve it with `talentfeed serve`.

    \b
    talentfeed import path/to/kuairand
    """
    settings = _start()
    from talentfeed.demo.dataset import import_dataset

    with _only_user_of(settings), console.progress() as progress:
        report = _replace_database(settings, lambda path: import_dataset(folder, path, progress=progress))
    _build_in_child(_as_of(None, settings))
    console.say("Serve it with:  talentfeed serve")
    console.emit(dataclasses.asdict(report))


@app.command()
def build(
    as_of: AsOf = None,
    force: Annotated[bool, typer.Option(help="Publish although the checks against the last snapshot fail.")] = False,
    nice: Annotated[int, typer.Option(min=0, max=19, help="Give way to other processes by this much.")] = 0,
) -> None:
    """Read the platform's database and publish a new snapshot. Running servers pick it up by themselves.

    \b
    talentfeed build
    talentfeed build --as-of 2022-05-05T13:00:00Z
    """
    settings = _start()
    os.nice(nice)
    from talentfeed.wiring import build_snapshot

    with console.progress() as progress:
        report = build_snapshot(settings, as_of=_as_of(as_of, settings), force=force, progress=progress)
    console.show_build(report)
    console.emit(
        {
            "version": report.manifest.version,
            "seconds": round(sum(report.seconds.values()), 3),
            "bytes": report.bytes,
            "counts": dict(report.manifest.counts),
            "skipped": dict(report.manifest.skipped),
        }
    )


@app.command()
def serve(as_of: AsOf = None) -> None:
    """Serve the feed on API_HOST:API_PORT. Builds first, in a child process, only when there is no snapshot.

    \b
    talentfeed serve
    API_PORT=8080 talentfeed serve
    """
    settings = _with_demo_key(_start(), make=False)
    _serve(settings, as_of=_as_of(as_of, settings), greet=False)


@app.command()
def flush() -> None:
    """Write all waiting activities to `activity_log` now.

    \b
    talentfeed flush
    """
    settings = _with_demo_key(_start(), make=False)
    if settings.redis_host is None:  # what waits is inside the running server
        report = remote.ask_server(settings, "POST", f"{settings.api_prefix}/admin/flush")
    else:
        import asyncio

        from talentfeed.wiring import flush_once

        report = dataclasses.asdict(asyncio.run(flush_once(settings)))
    console.emit(report)


@app.command()
def ledger(
    create: Annotated[bool, typer.Option("--create", help="Create it in the configured database.")] = False,
) -> None:
    """Print the DDL of the one table this service owns: it makes the flush exactly-once.

    \b
    talentfeed ledger
    talentfeed ledger --create
    """
    settings = _start()
    import asyncio

    from talentfeed.stores.database import ledger_ddl
    from talentfeed.wiring import create_ledger

    print(ledger_ddl("sqlite" if settings.mysql_host is None else "mysql"))
    if create:
        asyncio.run(create_ledger(settings))
        console.say("The ledger is there.")


@app.command()
def settings() -> None:
    """Print every setting with its default and meaning, as a Markdown table (docs/settings.md).

    \b
    talentfeed settings
    """
    print(settings_module.reference())


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


# ---------------------------------------------------------------- what the commands share


def main() -> None:
    """The entry point: errors of ours are one clear text and exit code 1, never a trace."""
    try:
        app()
    except TalentFeedError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


def _start() -> Settings:
    settings = settings_module.load()
    logs.set_up(level=settings.log_level, file=settings.log_file)
    return settings


def _as_of(text: str | None, settings: Settings) -> float | None:
    """The fixed clock that was asked for, or that an imported catalogue brings along; None is the wall clock.

    Raises SettingsError for a text that is no time.
    """
    if text is None:
        from talentfeed.demo import place

        made = place.describe(settings.embedded_database) if settings.mysql_host is None else None
        if made is None or made.as_of is None:
            return None
        console.say(f"{settings.embedded_database} is taken as on its day: --as-of {place.iso(made.as_of)}")
        return made.as_of
    return None if text == "now" else _moment(text)


def _moment(text: str) -> float:
    with contextlib.suppress(ValueError):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"--as-of {text!r} is no time; give ISO 8601 such as 2022-05-05T13:00:00Z, seconds since 1970, or now"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@contextlib.contextmanager
def _only_user_of(settings: Settings, *, shared: bool = False) -> Iterator[None]:
    """Hold the data folder: many may serve from it, but nobody replaces its database meanwhile."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with (settings.data_dir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            raise TalentFeedError(
                f"{settings.data_dir} is in use by another talentfeed process; stop it first, "
                "or set DATA_DIR to another folder"
            ) from None
        yield


def _replace_database(settings: Settings, make: Callable[[Path], Made_], *, keep: bool = True) -> Made_:
    """Make a database beside the embedded one, then put it in its place; the former one is kept under another name."""
    from talentfeed.demo import place

    database = settings.embedded_database
    draft = database.with_name("new.db")
    place.remove(draft)  # what a killed process left; we hold the folder alone
    result = make(draft)
    kept = place.install(draft, database)
    if kept is not None:
        if keep:
            console.say(f"The former database is kept as {kept}")
        else:
            place.remove(kept)
    return result


def _build_in_child(as_of: float | None) -> None:
    """Build in a process of its own, whose memory ends with it; its progress shows on our stderr."""
    command = [sys.executable, "-m", "talentfeed", "build", "--force", *(["--as-of", str(as_of)] if as_of else [])]
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode != 0:  # noqa: S603
        raise TalentFeedError("The build failed; its reason stands above")


def _with_demo_key(settings: Settings, *, make: bool) -> Settings:
    """Where no admin key is set, use the demo's: kept in a file that only its owner reads."""
    if settings.admin_api_key or settings.environment != "local":
        return settings
    file = console.admin_key_file(settings)
    if not file.exists():
        if not make:
            return settings
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(secrets.token_urlsafe(32) + "\n", encoding="utf-8")
    if file.stat().st_mode & 0o077:
        raise SettingsError(f"{file} is readable by others; mend it with: chmod 600 {file}")
    from pydantic import SecretStr

    return settings.model_copy(update={"admin_api_key": [SecretStr(file.read_text(encoding="utf-8").strip())]})


def _serve(settings: Settings, *, as_of: float | None, greet: bool) -> None:
    from talentfeed.snapshot import store

    with _only_user_of(settings, shared=True):
        from talentfeed.api.app import create_app
        from talentfeed.wiring import wire

        service = wire(settings, as_of=as_of)  # what is wrong with the settings is said before the build
        listener = _listen(settings)
        if store.current(settings.snapshot_dir) is None:
            _build_in_child(as_of)
        import uvicorn

        config = uvicorn.Config(
            create_app(service),
            loop="uvloop",
            http="httptools",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=8,
        )
        if greet:
            console.greet(settings)
        # uvicorn ends gracefully and then raises the signal again; a stop that was asked for is a success
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        uvicorn.Server(config).run(sockets=[listener])


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.api_host, settings.api_port))
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {settings.api_host}:{settings.api_port}: {error.strerror}. "
            "Stop what listens there, or set API_PORT to another port"
        ) from None
    listener.set_inheritable(True)
    return listener
