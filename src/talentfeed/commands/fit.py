"""`talentfeed fit`: the weights of retrieval, from a log of what was shown and liked."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from talentfeed import building, console, embedded
from talentfeed.commands.starting import start


def fit(
    folder: Annotated[
        Path | None, typer.Argument(help="A dataset folder (docs/data-import.md). Default: the platform's own log.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Other seed, other factors and negatives.")] = 0,
    as_of: Annotated[
        str | None, typer.Option(help="Of the platform: leave out what is later than this UTC time.")
    ] = None,
) -> None:
    """Fit the blend of retrieval: popularity at two half-lives, times shown, mean reward, ALS and co-views.

    The signals are those of the first four fifths of the log by time (without times: of a random four fifths); what was
    liked in the rest stands against videos drawn uniformly. `warm` is for viewers with a history, `cold` for those
    without. A table and one JSON line. Fitted on the platform, the weights are left beside the snapshots, also where
    they travel (SNAPSHOT_URL), and the next build takes them; those of a folder are only shown.

    \b
    talentfeed fit
    talentfeed fit path/to/kuairand
    """
    settings = start()
    from talentfeed.commands import trial
    from talentfeed.demo import folder as folders

    left: dict[str, object] = {}
    with console.progress() as progress:
        if folder is not None:
            data = folders.read(folder, progress=progress)
            log = trial.whole(data)
            blend = trial.fit(log, len(data.users), len(data.videos), seed=seed, progress=progress)
        else:
            from talentfeed.snapshot import weights
            from talentfeed.snapshot.build import exposed

            found, until = exposed(
                building.source(settings),
                now=time.time(),
                as_of=embedded.as_of(as_of, settings),
                blacklist=settings.blacklist_path,
                progress=progress,
            )
            log = found.rows
            blend = trial.fit(log, found.n_users, found.n_videos, seed=seed, progress=progress)
            left["weights"] = weights.leave(settings.snapshot_dir, blend, rows=len(log.at), until=until).name
            exchange = building.open_exchange(settings)
            if exchange is not None:
                exchange.leave_weights((settings.snapshot_dir / weights.FILE).read_bytes())
    _show(blend.warm, blend.cold)
    place = {"folder": None if folder is None else folder.resolve().name, "rows": len(log.at), **left}
    console.emit({**place, "seed": seed, "blend": dataclasses.asdict(blend)})


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
