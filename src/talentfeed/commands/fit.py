"""`talentfeed fit`: the weights of retrieval, from a log of what was shown and liked."""

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talentfeed import building, console, embedded
from talentfeed.commands.starting import start

if TYPE_CHECKING:
    from talentfeed.evidence import Blend


def fit(
    folder: Annotated[
        Path | None, typer.Argument(help="A dataset folder (docs/data-import.md). Default: the platform's own log.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Other seed, other factors and negatives.")] = 0,
    as_of: Annotated[
        str | None, typer.Option(help="Of the platform: leave out what is later than this UTC time.")
    ] = None,
) -> None:
    """Fit the blend of retrieval: popularity at two half-lives, times shown, mean reward, ALS, co-views, what suits.

    The signals are those of the first four fifths of the log by time (without times: of a random four fifths); what was
    liked in the rest stands against videos drawn uniformly. One column is for viewers with a history, one for those
    without; how much a profile counts is told by all who have one, with their history hidden, and stays at a prior
    where nobody has. A table and one JSON line. Fitted on the platform, the weights are left beside the snapshots, also
    where they travel (SNAPSHOT_URL), and the next build takes them; those of a folder are only shown.

    \b
    talentfeed fit
    talentfeed fit path/to/kuairand
    """
    settings = start()
    from talentfeed.commands import trial
    from talentfeed.snapshot import weights
    from talentfeed.snapshot.build import exposed

    left: dict[str, object] = {}
    with console.progress() as progress, tempfile.TemporaryDirectory(prefix="talentfeed-fit-") as place:
        if folder is None:
            day, blacklist = embedded.as_of(as_of, settings), settings.blacklist_path
            source = building.source(settings)
        else:
            blacklist = None
            source, day = trial.imported(folder, Path(place) / "data.db", progress=progress)
        log, plain = exposed(source, now=time.time(), as_of=day, blacklist=blacklist, progress=progress)
        blend, rows = trial.fit(log.rows, plain, seed=seed, progress=progress), len(log.rows.at)
    if folder is None:
        left["weights"] = weights.leave(settings.snapshot_dir, blend, rows=rows, until=plain.manifest.watermark).name
        exchange = building.open_exchange(settings)
        if exchange is not None:
            exchange.leave_weights((settings.snapshot_dir / weights.FILE).read_bytes())
    _show(blend)
    of = {"folder": None if folder is None else folder.resolve().name, "rows": rows, **left}
    console.emit({**of, "seed": seed, "blend": dataclasses.asdict(blend)})


def _show(blend: "Blend") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Weights of the blend", title_justify="left")
    table.add_column("signal")
    table.add_column("with a history", justify="right")
    table.add_column("without", justify="right")
    with_history, without = {**blend.warm, **blend.taste}, {**blend.cold, **blend.profile}
    for name, weight in with_history.items():
        table.add_row(name.replace("_", " "), f"{weight:.3f}", f"{without[name]:.3f}" if name in without else "")
    Console().print(table)
