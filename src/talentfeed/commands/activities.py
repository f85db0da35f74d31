"""`talentfeed activities`: what the database refused and was set aside."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from talentfeed import console, remote
from talentfeed.commands.starting import start_with_key
from talentfeed.errors import SettingsError, TalentFeedError
from talentfeed.settings import Settings
from talentfeed.times import iso

app = typer.Typer(
    no_args_is_help=True,
    help="Activities that the database refused: look at them, bring them back, or throw them away.\n\n"
    "talentfeed activities quarantined",
)

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="As `quarantined` tells them: an activity's, or a batch's."),
]
All = Annotated[bool, typer.Option("--all", help="All that are set aside now.")]
AsJson = Annotated[bool, typer.Option("--json", help="Nothing but the JSON line.")]


@app.command()
def quarantined(
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="The oldest so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List what was set aside, and why; last a JSON line that has each activity as it was stored.

    \b
    talentfeed activities quarantined
    talentfeed activities quarantined --limit 1000 --json | jq -r '.entries[].reason' | sort | uniq -c
    """
    settings = start_with_key()
    if settings.redis_host is None:  # what is set aside is inside the running server
        report = remote.ask_server(settings, "GET", f"{settings.api_prefix}/admin/quarantined?limit={limit}")
    else:
        from talentfeed.wiring import with_quarantine

        report = _plain(with_quarantine(settings, lambda quarantine: quarantine.listing(limit)))
    if not as_json:
        _show(report)
    console.emit(report)


@app.command()
def requeue(ids: Ids = None, every: All = False) -> None:
    """Have them wait to be flushed again, once what the database refused is mended; then `talentfeed flush`.

    \b
    talentfeed activities requeue 5c076bac31fd44c4be22cf8cd227de98.0.1
    talentfeed activities requeue --all
    """
    _change("requeue", ids or [], every=every)


@app.command()
def discard(ids: Ids = None, every: All = False) -> None:
    """Throw them away for good. They are in no table: keep the JSON line of `quarantined` if you may want them.

    \b
    talentfeed activities discard 5c076bac31fd44c4be22cf8cd227de98
    """
    _change("discard", ids or [], every=every)


def _change(action: str, ids: Sequence[str], *, every: bool) -> None:
    if bool(ids) == every:
        raise SettingsError(f"{action}: name ids, or give --all; `talentfeed activities quarantined` lists them")
    settings = start_with_key()
    report = _acted(settings, action, None if every else ids)
    for entry, reason in report["kept"].items():
        console.say(f"{entry} stays: {reason}")
    console.emit(report)
    if report["unknown"]:
        raise TalentFeedError(
            f"Nothing is set aside under {', '.join(report['unknown'])}; `talentfeed activities quarantined` lists it"
        )
    if report["kept"]:
        raise TalentFeedError("Some stay: a database never takes them as they are; discard them, or leave them")


def _acted(settings: Settings, action: str, ids: Sequence[str] | None) -> dict[str, Any]:
    if settings.redis_host is None:
        path = f"{settings.api_prefix}/admin/quarantined/{action}"
        return remote.ask_server(settings, "POST", path, {"ids": "all" if ids is None else list(ids)})
    from talentfeed.wiring import with_quarantine

    return _plain(with_quarantine(settings, lambda quarantine: getattr(quarantine, action)(ids)))


def _plain(found: Any) -> dict[str, Any]:
    """As the server would answer."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def _show(report: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    out = Console()
    if not report["entries"]:
        out.print("Nothing is set aside.")
        return
    table = Table(title=f"{report['total']:,} set aside, the oldest {len(report['entries']):,}", title_justify="left")
    for name in ("id", "set aside", "user", "event", "item", "reason"):
        table.add_column(name, overflow="fold")
    for entry in report["entries"]:
        found = _object(entry["payload"])
        told = [str(found.get(name, "")) for name in ("user_id", "event_type", "video_id")]
        table.add_row(entry["batch_id"], iso(entry["at"]), *told, entry["reason"])
    out.print(table)


def _object(payload: str) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
