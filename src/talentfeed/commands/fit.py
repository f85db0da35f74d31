"""`talentfeed fit`: the weights of retrieval, from a log of what was shown and liked."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from talentfeed import console
from talentfeed.commands.starting import start


def fit(
    folder: Annotated[Path, typer.Argument(help="A dataset folder (docs/data-import.md).")],
    seed: Annotated[int, typer.Option(min=0, help="Other seed, other factors and negatives.")] = 0,
) -> None:
    """Fit the blend of retrieval: popularity at two half-lives, times shown, mean reward, ALS and co-views.

    The signals are those of the first four fifths of the log by time (without times: of a random four fifths); what was
    liked in the rest stands against videos drawn uniformly. `warm` is for viewers with a history, `cold` for those
    without. A table and one JSON line.

    \b
    talentfeed fit path/to/kuairand
    """
    start()
    from talentfeed.commands import trial
    from talentfeed.demo import folder as folders

    with console.progress() as progress:
        data = folders.read(folder, progress=progress)
        log = trial.whole(data)
        blend = trial.fit(log, len(data.users), len(data.videos), seed=seed, progress=progress)
    _show(blend.warm, blend.cold)
    console.emit({"folder": folder.resolve().name, "seed": seed, "blend": dataclasses.asdict(blend)})


def _show(warm: Mapping[str, float], cold: Mapping[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Weights of the blend", title_justify="left")
    table.add_column("signal")
    table.add_column("with a history", justify="right")
    table.add_column("without", justify="right")
    for name, weight in warm.items():
        table.add_row(name.replace("_", " "), f"{weight:.3f}", f"{cold[name]:.3f}" if name in cold else "")
    Console().print(table)
