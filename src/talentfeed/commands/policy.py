"""`talentfeed policy`: what is learned, and what is served of it."""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talentfeed import console, remote
from talentfeed.commands.starting import start_with_key
from talentfeed.errors import PolicyError, TalentFeedError
from talentfeed.settings import Settings
from talentfeed.times import iso

if TYPE_CHECKING:
    from talentfeed.learning.policies import Policies

app = typer.Typer(
    no_args_is_help=True,
    help="The policy that is learned: look at it, keep it, bring it back, start anew. See docs/learning.md\n\n"
    "talentfeed policy show",
)
Version = Annotated[str | None, typer.Option(help="As `show` tells it. Default: the newest.")]


@app.command()
def show() -> None:
    """Where learning stands: the versions, what each bandit has learned, counters; last one JSON line.

    \b
    talentfeed policy show
    talentfeed policy show | tail -1 | jq .tally
    """
    report = _asked("GET", "", None, lambda policies: policies.report())
    _table(report)
    console.emit(report)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="The file to be written.")],
    version: Version = None,
) -> None:
    """Write a version to a file that `import` takes.

    \b
    talentfeed policy export learned.json
    talentfeed policy export before.json --version 41-5f0c2a9e
    """
    query = "" if version is None else f"?version={version}"
    found = _asked("GET", f"/export{query}", None, lambda policies: policies.export(version))
    try:
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise TalentFeedError(f"{file} cannot be written: {error.strerror}; name another file") from None
    console.emit({"file": str(file), "version": found["version"], "impressions": found["impressions"]})


@app.command("import")
def import_(file: Annotated[Path, typer.Argument(help="A file that `export` wrote.")]) -> None:
    """Serve, and go on learning from, a version that was exported.

    \b
    talentfeed policy import learned.json
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PolicyError(f"{file} is no exported policy: {error}; `talentfeed policy export` makes one") from None
    _changed("import", found, lambda policies: _made(policies.take(found)))


@app.command()
def reset() -> None:
    """Start from what the preset knows; what waits to become part of the policy is thrown away. Versions stay.

    \b
    talentfeed policy reset
    """
    _changed("reset", None, lambda policies: _made(policies.reset()))


@app.command()
def rollback(
    version: Annotated[
        str | None, typer.Argument(help="As `show` tells it. Default: the one before the newest.")
    ] = None,
) -> None:
    """Serve, and go on learning from, an earlier version.

    \b
    talentfeed policy rollback
    talentfeed policy rollback 41-5f0c2a9e
    """
    body = {} if version is None else {"version": version}
    _changed("rollback", body, lambda policies: _made(policies.rollback(version)))


async def _made(version: Awaitable[str]) -> dict[str, Any]:
    return {"version": await version}


def _changed(action: str, body: Any, work: "Callable[[Policies], Awaitable[dict[str, Any]]]") -> None:
    report = _asked("POST", f"/{action}", body, work)
    console.say(f"Policy {report['version']} is served within seconds, in every mode.")
    console.emit(report)


def _asked(
    method: str, path: str, body: Any, work: "Callable[[Policies], Awaitable[dict[str, Any]]]"
) -> dict[str, Any]:
    settings: Settings = start_with_key()
    if settings.redis_host is None:  # what is learned is inside the running server
        return remote.ask_server(settings, method, f"{settings.api_prefix}/admin/policy{path}", body)
    from talentfeed.policy import with_policies

    return with_policies(settings, work)


def _table(report: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    at = "" if report["at"] is None else f", made {iso(report['at'])}"
    table = Table(
        title=f"Policy {report['learned']}{at}; chosen to be served: {report['served']}", title_justify="left"
    )
    for name in ("bandit", "rewards", "weight", "uncertainty", "what weighs most"):
        table.add_column(name, justify="left" if name in ("bandit", "what weighs most") else "right")
    for name, one in report["bandits"].items():
        most = sorted(one["theta"].items(), key=lambda pair: -abs(pair[1]))[:4]
        told = ", ".join(f"{feature} {weight:+.3f}" for feature, weight in most if weight)
        table.add_row(name, f"{one['rewards']:,}", f"{one['weight']:,.1f}", f"{one['uncertainty']:.4f}", told)
    out = Console()
    out.print(table)
    tally = report["tally"]
    out.print(
        f"{report['impressions']:,} impressions learned from, {report['items']:,} items, "
        f"{tally['waiting']:,.0f} increments wait, {tally['refused_increments']:,.0f} refused; "
        f"{len(report['versions'])} versions kept"
    )
