"""`talentfeed export`: the platform's data as a dataset folder, to judge policies on."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer

from talentfeed import building, console, embedded
from talentfeed.commands.starting import start


def export(
    folder: Annotated[Path, typer.Argument(help="The folder to make; it must not be there yet.")],
    as_of: Annotated[str | None, typer.Option(help="Leave out what is later than this UTC time.")] = None,
) -> None:
    """Write people, videos and what was shown to whom as a dataset folder (docs/data-import.md), to be judged on.

    What has no time stays out of the log: a cut in time could not tell where it belongs. Ids, profiles and texts go out
    as they are, names do not. One JSON line.

    \b
    talentfeed export var/own
    talentfeed evaluate var/own --pattern AU
    """
    settings = start()
    from talentfeed.snapshot.build import exported

    with console.progress() as progress:
        report = exported(
            building.source(settings),
            folder,
            now=time.time(),
            as_of=embedded.as_of(as_of, settings),
            blacklist=settings.blacklist_path,
            progress=progress,
        )
    console.say(f"Judge policies on it with:  talentfeed evaluate {folder} --pattern AU")
    console.emit({"folder": folder.resolve().name, **dataclasses.asdict(report)})
