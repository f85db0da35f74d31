"""The commands: each a few lines over the rooms below."""

import dataclasses
import gc
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from talentfeed import __version__, console, embedded, remote
from talentfeed import settings as settings_module
from talentfeed.commands import activities, policy, serving, snapshots
from talentfeed.commands.compare import compare
from talentfeed.commands.evaluate import evaluate
from talentfeed.commands.export import export
from talentfeed.commands.fit import fit
from talentfeed.commands.judge import judge
from talentfeed.commands.learn import learn
from talentfeed.commands.simulate import simulate
from talentfeed.commands.starting import start as _start
from talentfeed.commands.starting import to_its_end
from talentfeed.errors import SettingsError, TalentFeedError
from talentfeed.settings import Settings

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
    embedded.demo_data(settings, scale=scale, seed=seed, reset=reset)
    settings = embedded.with_demo_key(settings, make=True)
    if serve_it:
        serving.serve(settings, as_of=None, greet=True)


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

    with embedded.only_user_of(settings), console.progress() as progress:
        report = embedded.replace_database(settings, lambda path: import_dataset(folder, path, progress=progress))
    embedded.build_in_child(embedded.as_of(None, settings))
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
    gc.disable()  # the process ends with the build; looking for garbage among a hundred thousand expressions is dear
    _look_at_blacklist(settings)
    from talentfeed.building import build_snapshot

    with console.progress() as progress:
        report = build_snapshot(
            settings,
            as_of=embedded.as_of(as_of, settings),
            force=force,
            progress=progress,
            waits=lambda: console.say("Another build is under way; waiting for what comes of it"),
        )
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
def serve(
    as_of: AsOf = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes that serve; more than one needs Redis. [WORKERS]")
    ] = None,
) -> None:
    """Serve the feed on API_HOST:API_PORT. Builds, in a child process, only when there is no snapshot.

    SIGTERM ends requests under way, stores what is left and stops within ten seconds. With several workers a crashed
    one is replaced, and SIGHUP starts the program anew without a gap.

    \b
    talentfeed serve
    API_PORT=8080 REDIS_HOST=127.0.0.1 talentfeed serve --workers 4
    """
    serving.begin(as_of=as_of, workers=workers)


@app.command()
def flush() -> None:
    """Write all waiting activities to `activity_log` now.

    \b
    talentfeed flush
    """
    settings = embedded.with_demo_key(_start(), make=False)
    if settings.redis_host is None:  # what waits is inside the running server
        report = remote.ask_server(settings, "POST", f"{settings.api_prefix}/admin/flush")
    else:
        import asyncio

        from talentfeed.wiring import flush_once

        report = dataclasses.asdict(asyncio.run(flush_once(settings)))
    console.emit(report)
    if report["error"] is not None:
        raise TalentFeedError(f"The flush ended early; what is left waits in Redis: {report['error']}")


@app.command()
def replay(
    feed_id: Annotated[str, typer.Argument(help="`feed_id` of a feed's answer: 32 hex digits.")],
) -> None:
    """Rank a feed once more from its record and compare with what was served; a table and one JSON line.

    \b
    talentfeed replay 5c076bac31fd44c4be22cf8cd227de98
    """
    settings = embedded.with_demo_key(_start(), make=False)
    from talentfeed.contracts import FEED_ID, FEED_ID_FORM

    if not re.fullmatch(FEED_ID, feed_id):
        raise SettingsError(f"{feed_id!r} is no {FEED_ID_FORM.removeprefix('a ')}")
    if settings.redis_host is None:  # what is kept is inside the running server
        report = remote.ask_server(settings, "GET", f"{settings.api_prefix}/feeds/{feed_id}/replay")
    else:
        import asyncio

        from talentfeed.wiring import replay_once

        found = asyncio.run(replay_once(settings, feed_id))
        if found is None:
            raise TalentFeedError(
                f"Feed {feed_id} is not known, or not kept any more: feeds are kept {settings.session_ttl_seconds} s"
            )
        report = dataclasses.asdict(found)
    console.show_replay(report)
    console.emit(report)
    if not report["identical"]:
        raise TalentFeedError(f"Feed {feed_id} comes out otherwise than it was served: `served` is what went out")


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

    from talentfeed.connections import create_ledger
    from talentfeed.stores.database import ledger_ddl

    print(ledger_ddl("sqlite" if settings.mysql_host is None else "mysql"))
    if create:
        asyncio.run(create_ledger(settings))
        console.say("The ledger is there.")


@app.command()
def check() -> None:
    """Test each connection and each right, and say in one line each what is wrong; then one JSON line.

    \b
    talentfeed check
    """
    settings = _start()
    from talentfeed.checkup import check_all

    findings = check_all(settings)
    console.show_findings(findings)
    wrong = sum(finding.state == "wrong" for finding in findings)
    console.emit({"ok": not wrong, "checks": [dataclasses.asdict(finding) for finding in findings]})
    if wrong:
        sys.exit(1)


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


app.command()(compare)
app.command()(evaluate)
app.command()(export)
app.command()(fit)
app.command()(judge)
app.command()(learn)
app.command()(simulate)
app.add_typer(activities.app, name="activities")
app.add_typer(policy.app, name="policy")
app.add_typer(snapshots.app, name="snapshots")


# ---------------------------------------------------------------- what the commands share


def main() -> None:
    """The entry point."""
    to_its_end(app)


def _look_at_blacklist(settings: Settings) -> None:
    """Without its file nothing is kept out: an error where one was named, else said where it is seen."""
    if settings.blacklist_path.is_file():
        return
    if "blacklist_path" in settings.model_fields_set:
        raise SettingsError(f"BLACKLIST_PATH: {settings.blacklist_path} is no file; name one (it may be empty)")
    console.say(f"No blacklist at {settings.blacklist_path}: no URL is left out for it. BLACKLIST_PATH names another")
