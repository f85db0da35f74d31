"""The embedded default's files: the data folder's database, who holds the folder, its admin key, its clock."""

import contextlib
import fcntl
import secrets
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from talentfeed import console, times
from talentfeed.building import build_command
from talentfeed.demo import place
from talentfeed.errors import SettingsError, TalentFeedError
from talentfeed.settings import Settings
from talentfeed.snapshot import store

Result = TypeVar("Result")
EARLIEST, LATEST = 631_152_000.0, 4_102_444_800.0  # 1990 and 2100, in seconds since 1970


def demo_data(settings: Settings, *, scale: float | None, seed: int | None, reset: bool) -> None:
    """Have the demo's database and a snapshot of it; what is there and fits is used again."""
    database = settings.embedded_database
    made = place.describe(database)
    if not reset and place.is_demo(made, seed=seed, scale=scale):
        console.say(
            f"Using the data in {database}, made {console.ago(database.stat().st_mtime)}; --reset makes it anew."
        )
        if store.current(settings.snapshot_dir) is not None:
            return
    else:
        from talentfeed.demo.generate import generate

        with only_user_of(settings), console.progress() as progress:
            replace_database(
                settings,
                lambda path: generate(path, scale=scale or 1.0, seed=7 if seed is None else seed, progress=progress),
                keep=not (reset and place.is_demo(made)),
            )
    build_in_child(None)


def replace_database(settings: Settings, make: Callable[[Path], Result], *, keep: bool = True) -> Result:
    """Make a database beside the embedded one, then put it in its place; the former one is kept under another name."""
    database = settings.embedded_database
    draft = database.with_name("new.db")
    place.remove(draft)  # what a killed process left; we hold the folder alone
    result = make(draft)
    store.withdraw(settings.snapshot_dir)  # first: what was built from another database is never taken for this one's
    kept = place.install(draft, database)
    if kept is not None:
        if keep:
            console.say(f"The former database is kept as {kept}")
        else:
            place.remove(kept)
    return result


@contextlib.contextmanager
def only_user_of(settings: Settings, *, shared: bool = False) -> Iterator[None]:
    """Hold the data folder: many may serve from it, but nobody replaces its database meanwhile."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        held = (settings.data_dir / ".lock").open("w")
    except OSError as error:
        raise SettingsError(f"DATA_DIR {settings.data_dir} cannot be written: {error}") from None
    with held as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            raise TalentFeedError(
                f"{settings.data_dir} is in use by another talentfeed process; stop it first, "
                "or set DATA_DIR to another folder"
            ) from None
        yield


def build_in_child(as_of: float | None) -> None:
    """Build in a process of its own, whose memory ends with it; its progress shows on our stderr."""
    command = build_command("--force", as_of=as_of)
    if command is None:
        raise TalentFeedError("The build's libraries are not installed here; install talentfeed[build]")
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode != 0:  # noqa: S603
        raise TalentFeedError("The build failed; its reason stands above")


def as_of(text: str | None, settings: Settings) -> float | None:
    """The fixed clock that was asked for, or that an imported catalogue brings along; None is the wall clock.

    Raises SettingsError for a text that is no time.
    """
    if text is None:
        made = place.describe(settings.embedded_database) if settings.mysql_host is None else None
        if made is None or made.as_of is None:
            return None
        console.say(f"{settings.embedded_database} is taken as on its day: --as-of {times.iso(made.as_of)}")
        return made.as_of
    return None if text == "now" else moment(text)


def moment(text: str) -> float:
    """Seconds since 1970 from ISO 8601 (UTC where it names no zone) or a number of seconds. Raises SettingsError."""
    with contextlib.suppress(ValueError):
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if EARLIEST <= seconds <= LATEST:
            return seconds
    raise SettingsError(
        f"--as-of {text!r} is no time from 1990 to 2100; give ISO 8601 such as 2022-05-05T13:00:00Z, "
        "seconds since 1970, or now"
    )


def with_demo_key(settings: Settings, *, make: bool) -> Settings:
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
    return settings.model_copy(update={"admin_api_key": [SecretStr(file.read_text(encoding="utf-8").strip())]})
