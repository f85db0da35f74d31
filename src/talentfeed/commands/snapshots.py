"""`talentfeed snapshots`: which versions there are, back to an earlier one, and here what another published."""

import dataclasses
import time
from typing import Annotated, Any

import typer

from talentfeed import console
from talentfeed.building import KEPT_SNAPSHOTS, open_exchange
from talentfeed.commands.starting import start
from talentfeed.contracts import Manifest
from talentfeed.errors import SettingsError, SnapshotError
from talentfeed.settings import Settings
from talentfeed.snapshot import manifests, store

app = typer.Typer()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version as it is listed."""

    version: str
    current: bool
    published_at: float  # seconds since 1970 UTC
    watermark: float
    bytes: int
    weights: str  # of its signals' blend; empty: built without signals
    counts: dict[str, int]


@app.callback(invoke_without_command=True)
def snapshots(context: typer.Context) -> None:
    """List the versions there are, the newest last, as a table and one JSON line.

    With SNAPSHOT_URL those that are published there, else those in DATA_DIR.

    \b
    talentfeed snapshots
    talentfeed snapshots rollback
    """
    if context.invoked_subcommand is not None:
        return
    settings = start()
    exchange = open_exchange(settings)
    found = listed(settings, exchange)
    place = str(settings.snapshot_dir) if exchange is None else str(exchange.shown)
    _show(found, title=place)
    console.emit({"place": place, "versions": [dataclasses.asdict(one) for one in found]})


@app.command()
def rollback(
    version: Annotated[str | None, typer.Argument(help="The version to go back to. Default: the one before.")] = None,
) -> None:
    """Make an earlier version the current one, everywhere, within seconds and without a restart.

    The next build publishes a new one: turn RELOAD_INTERVAL_SECONDS off, or mend its input first.

    \b
    talentfeed snapshots rollback
    talentfeed snapshots rollback 20261121T215958Z-9d575b55aa1a
    """
    chosen, former = go_back(start(), version)
    console.say(f"{chosen} is the current snapshot now; running servers take it within seconds")
    console.emit({"version": chosen, "before": former})


@app.command()
def fetch() -> None:
    """Fetch the current snapshot of SNAPSHOT_URL now; running servers do it by themselves.

    \b
    talentfeed snapshots fetch
    """
    settings = start()
    exchange = open_exchange(settings)
    if exchange is None:
        raise SettingsError("SNAPSHOT_URL: not set, so there is nothing to fetch from; set it to a folder or s3://…")
    from talentfeed.snapshot.exchange import bring

    begun = time.perf_counter()
    manifest = bring(exchange, settings.snapshot_dir, keep=KEPT_SNAPSHOTS)
    seconds = round(time.perf_counter() - begun, 3)
    console.emit({"version": manifest.version, "seconds": seconds, "counts": dict(manifest.counts)})


def go_back(settings: Settings, version: str | None) -> tuple[str, str | None]:
    """Make a version the current one, by default the one before. → it, and the former one.

    Raises SnapshotError where there is none such, or it is not whole; nothing changes then.
    """
    exchange, folder = open_exchange(settings), settings.snapshot_dir
    found = listed(settings, exchange)
    former = next((one.version for one in found if one.current), None)
    chosen, names = version or _before(found, former), [one.version for one in found]
    if chosen not in names:
        raise SnapshotError(f"{chosen}: there is no such snapshot; there are: {', '.join(names) or 'none'}")
    if exchange is None:
        store.load(folder, chosen, verify=True)
    else:
        exchange.fetch(chosen, folder)
        exchange.point(chosen)
    store.point(folder, chosen)
    return chosen, former


def listed(settings: Settings, exchange: Any) -> list[Version]:
    """The versions that can be gone back to, the newest last. Raises SnapshotError where they cannot be read."""
    if exchange is not None:
        current = exchange.current()
        return [_version(one.manifest, current, one.at, one.bytes) for one in exchange.versions()]
    folder, found = settings.snapshot_dir, []
    current = store.try_current(folder)
    for name in store.versions(folder):
        home = folder / name
        try:
            manifest = manifests.stored((home / store.MANIFEST).read_bytes(), home).manifest
        except SnapshotError as error:
            console.say(str(error))
            continue
        size = sum(file.stat().st_size for file in home.iterdir())
        found.append(_version(manifest, current, (home / store.MANIFEST).stat().st_mtime, size))
    return found


def _version(manifest: Manifest, current: str | None, at: float, size: int) -> Version:
    return Version(
        version=manifest.version,
        current=manifest.version == current,
        published_at=at,
        watermark=manifest.watermark,
        bytes=size,
        weights=manifest.weights,
        counts=dict(manifest.counts),
    )


def _before(found: list[Version], current: str | None) -> str:
    names = [one.version for one in found]
    if current not in names:
        raise SnapshotError("There is no current snapshot to go back from; name one: " + (", ".join(names) or "none"))
    place = names.index(current)
    if place == 0:
        raise SnapshotError(f"{current} is the oldest snapshot there is; there are: {', '.join(names)}")
    return names[place - 1]


def _show(found: list[Version], *, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Snapshots in {title}", title_justify="left")
    for name in ("", "version", "published", "MB", "videos", "flows", "users", "weights"):
        table.add_column(name, justify="right" if name in ("MB", "videos", "flows", "users") else "left", no_wrap=True)
    for one in found:
        counts = [f"{one.counts.get(kind, 0):,}" for kind in ("videos", "flows", "users")]
        mark = "current" if one.current else ""
        table.add_row(mark, one.version, console.ago(one.published_at), f"{one.bytes / 1e6:.1f}", *counts, one.weights)
    Console(width=120).print(table)
