"""`talentfeed simulate`: policies played online where every answer is known."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talentfeed import console
from talentfeed.commands.starting import start

if TYPE_CHECKING:
    from talentfeed.evaluation.simulation import Player


def simulate(
    folder: Annotated[Path, typer.Argument(help="A dataset folder with full_feedback.csv.gz.")],
    seeds: Annotated[int, typer.Option(min=1, max=100, help="So many games, each with a seed of its own.")] = 5,
    product: Annotated[
        bool,
        typer.Option(
            help="`classic` and `learned` serve the full product: FEED_PATTERN, all rules, the draws, epsilon."
        ),
    ] = False,
    curve: Annotated[Path | None, typer.Option(help="Draw the rewards over the game into this SVG file.")] = None,
) -> None:
    """Play policies online on a fully observed block: the reward of every choice is known, and given at once.

    Users of the block, drawn uniformly, ask for 1.772 pages of 24 each on average; candidates are all videos of the
    block that they were not shown. `random`; `popular`: likes in training, static; `classic` and `learned`: the
    production kernel's pool AU under that preset, its LinUCB learning, exploring by the default epsilon; `oracle`. A
    table and one JSON line.

    \b
    talentfeed simulate path/to/kuairec
    talentfeed simulate path/to/kuairec --seeds 2 --curve learning.svg
    talentfeed simulate path/to/kuairec --product
    """
    settings = start()
    import numpy as np

    from talentfeed.commands import trial
    from talentfeed.contracts import NO_DATE, Pool
    from talentfeed.demo import folder as folders
    from talentfeed.evaluation import simulation
    from talentfeed.evaluation.curve import smoothed, svg
    from talentfeed.evaluation.kernel_player import KernelPlayer
    from talentfeed.ranking.feed import initial_policy, parse_pattern, prepare
    from talentfeed.ranking.presets import preset

    pattern = parse_pattern(settings.feed_pattern) if product else (Pool.AFFINITY,)
    with console.progress() as progress:
        data = folders.read(folder, progress=progress)
        block = folders.read_block(folder, data)
        rows = np.flatnonzero(data.block_videos)
        log = data.interactions
        popularity = np.bincount(log.video, log.reward, minlength=len(data.videos))[rows].astype(np.float64)
        order = popularity / (popularity.max(initial=0.0) + 1.0)
        game = simulation.Game(likes=block, epsilon=preset("classic").epsilon)
        with trial.training_snapshot(folder, None, keep_undated=True, seed=0, progress=progress) as (snapshot, _):
            now = snapshot.manifest.watermark if snapshot.manifest.watermark > NO_DATE else _SOME_DAY

            def kernel(name: str) -> "Callable[[int], Player]":
                chosen = preset(name)
                return lambda seed: KernelPlayer(
                    lambda policy, before: prepare(snapshot, policy, chosen, before=before),
                    initial_policy(chosen),
                    users=data.users[data.block_users],
                    videos=data.videos[rows],
                    pattern=pattern,
                    now=now,
                    seed=seed,
                )

            policies: dict[str, tuple[Callable[[int], Player], bool]] = {
                "random": (lambda seed: simulation.Random(len(rows), seed), False),
                "popular": (lambda _: simulation.Fixed(order), False),
                "classic": (kernel("classic"), True),
                "learned": (kernel("learned"), True),
                "oracle": (lambda _: simulation.Oracle(block, order), False),
            }
            games = {
                name: [
                    simulation.play(
                        game,
                        make,
                        seed,
                        explores=explores,
                        pages=product,
                        progress=_share(progress, name, seed, seeds),
                    )
                    for seed in range(seeds)
                ]
                for name, (make, explores) in policies.items()
            }
    found = {name: simulation.outcome(played) for name, played in games.items()}
    if curve is not None:
        lines = {name: smoothed(played) for name, played in games.items()}
        curve.write_text(svg(lines, game.requests), encoding="utf-8")
    _show(folder, found, game.requests)
    console.emit(
        {
            "policies": {name: dataclasses.asdict(one) for name, one in found.items()},
            "folder": folder.resolve().name,
            "requests": game.requests,
            "users": len(block),
            "videos": len(rows),
            "epsilon": game.epsilon,
            "pattern": " ".join(pattern),
            "pure": not product,
            "seeds": list(range(seeds)),
        }
    )


_SOME_DAY = 1_600_000_000.0  # a catalogue without any time is played on a day like any other


def _share(progress: Callable[[str, float], None], name: str, seed: int, seeds: int) -> Callable[[float], None]:
    return lambda done: progress(name, (seed + done) / seeds)


def _show(folder: Path, found: dict[str, Any], requests: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{folder.resolve().name}: mean reward over {requests:,} pages of 24", title_justify="left")
    for heading in ("policy", "reward", "spread", "first sixth", "last sixth", "coverage", "x popular"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    base = found["popular"].reward
    for name, one in found.items():
        ratio = f"{one.reward / base:.3f}" if base else ""
        parts = (one.reward, one.spread, one.first_sixth, one.last_sixth)
        table.add_row(name, *(f"{part:.4f}" for part in parts), f"{100 * one.coverage:.1f} %", ratio)
    Console().print(table)
