"""`talentfeed evaluate`: what the slate promises, measured; or, with a dataset folder, how well policies rank."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talentfeed import console, embedded
from talentfeed.commands.starting import start
from talentfeed.errors import SettingsError

if TYPE_CHECKING:
    from talentfeed.contracts import Snapshot
    from talentfeed.evaluation.protocol import Measured, Pages, Split, Task

PRESETS = ("classic", "learned")


def evaluate(
    folder: Annotated[
        Path | None, typer.Argument(help="A dataset folder (docs/data-import.md). Without it the slate is measured.")
    ] = None,
    *,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Judge on this later period, as interactions.csv.gz. Default: test.csv.gz, else the last fifth."
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="One code (VMP, AU, NU): that pool in every slot, by its score alone. Default: the full product."
        ),
    ] = None,
    hide_history: Annotated[bool, typer.Option(help="Treat every user as new.")] = False,
    feeds: Annotated[
        int, typer.Option(min=1, help="Of the slate: first feeds of so many users, half of them with a history.")
    ] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Other seed, other users, draws and factors.")] = 0,
    as_of: Annotated[
        str | None,
        typer.Option(help="Of the slate: take ages against this UTC time. Default: the newest time in the catalogue."),
    ] = None,
) -> None:
    """Measure the slate beside its targets; or, on a dataset, rank unseen videos and count what was liked later.

    On a dataset every policy is trained on what is before the cut, in a folder that holds nothing else, and ranks all
    videos a user was not shown: `random`, `popular` (likes, half-life 3 days), and the production kernel with the
    presets `classic` and `learned`, whose blend is fitted on the training part. Recall@24, NDCG@24, coverage, by size
    of history, with 95 % intervals; a table and one JSON line. Without a folder demo data and a snapshot are made where
    there are none.

    \b
    talentfeed evaluate --feeds 500
    talentfeed evaluate path/to/kuairand --pattern AU
    talentfeed evaluate path/to/kuairand --test later.csv.gz --pattern AU --hide-history
    """
    if folder is not None:
        _dataset(folder, test, pattern, hide_history=hide_history, seed=seed)
        return
    if test is not None or pattern is not None or hide_history:
        raise SettingsError("--test, --pattern and --hide-history judge on a dataset: name its folder first")
    settings = start()
    from talentfeed.evaluation import slates
    from talentfeed.policy import Rankers
    from talentfeed.ranking.feed import parse_pattern
    from talentfeed.snapshot import store

    rankers = Rankers(settings)
    if store.current(settings.snapshot_dir) is None:
        if settings.embedded_database.exists():
            embedded.build_in_child(embedded.as_of(None, settings))
        else:
            embedded.demo_data(settings, scale=None, seed=None, reset=False)
    snapshot = store.load(settings.snapshot_dir)
    ranker = rankers(snapshot)
    if rankers.fault is not None:
        console.say(rankers.fault.reason)
    with console.progress() as progress:
        quality = slates.evaluate(
            ranker,
            pattern=parse_pattern(settings.feed_pattern),
            now=snapshot.manifest.watermark if as_of is None else embedded.moment(as_of),
            feeds=feeds,
            seed=seed,
            progress=progress,
        )
    console.show_quality(quality, slates.TARGETS, preset=ranker.preset.name)
    console.emit({"preset": ranker.preset.name, "snapshot": snapshot.manifest.version, **dataclasses.asdict(quality)})


def _dataset(folder: Path, test: Path | None, pattern: str | None, *, hide_history: bool, seed: int) -> None:
    settings = start()
    from talentfeed.commands import trial
    from talentfeed.demo import folder as folders
    from talentfeed.evaluation import protocol
    from talentfeed.evaluation.kernel_pages import require_scored, without_history
    from talentfeed.ranking.feed import parse_pattern

    codes = parse_pattern(settings.feed_pattern if pattern is None else pattern)
    alone = codes[0] if pattern is not None and len(codes) == 1 else None
    if alone is not None:
        require_scored(alone)
    if test is None and (folder / "test.csv.gz").exists():
        test = folder / "test.csv.gz"
    with console.progress() as progress:
        data = folders.read(folder, progress=progress)
        split = trial.split(data, test)
        job = protocol.task(split, len(data.users), len(data.videos))
        if not len(job.users):
            raise SettingsError(f"{folder}: nobody liked anything new after the cut: nothing can be judged")
        policies = {"random": _random(job, seed), "popular": _popular(split, job)}
        with trial.training_snapshot(
            folder, split.cut, keep_undated=test is not None, seed=seed, progress=progress
        ) as (snapshot, dropped):
            protocol.check_snapshot(snapshot, split.cut)
            known = without_history(snapshot) if hide_history else snapshot
            for name in PRESETS:
                policies[name] = _kernel(
                    known, name, data=data, split=split, job=job, codes=codes, alone=alone, seed=seed
                )
            found = {
                name: protocol.measure(job, pages, progress=lambda done, name=name: progress(name, done))  # type: ignore[misc]
                for name, pages in policies.items()
            }
    report = _report(found, job, seed)
    _show(report, folder, job)
    console.emit(
        {
            **report,
            "folder": folder.resolve().name,
            "cut": split.cut,
            "pattern": " ".join(codes),
            "pure": alone is not None,
            "hide_history": hide_history,
            "seed": seed,
            "users": len(job.users),
            "left_out": dropped,
        }
    )


def _random(job: "Task", seed: int) -> "Pages":
    import numpy as np

    from talentfeed.evaluation.protocol import best

    return lambda user: best(np.random.default_rng((seed, user)).random(job.n_videos), job.shown[user])


def _popular(split: "Split", job: "Task") -> "Pages":
    from talentfeed.evaluation.protocol import best
    from talentfeed.snapshot.signals import SLOW, popularity

    scores = popularity(split.training, job.n_videos, clock=split.cut, half_life=SLOW, rewards=True)
    return lambda user: best(scores, job.shown[user])


def _kernel(
    snapshot: "Snapshot", name: str, *, data: Any, split: "Split", job: "Task", codes: Any, alone: Any, seed: int
) -> "Pages":
    from talentfeed.evaluation.kernel_pages import KernelPages
    from talentfeed.ranking.feed import initial_policy, prepare
    from talentfeed.ranking.presets import preset

    chosen = preset(name)
    ranker = prepare(snapshot, initial_policy(chosen), chosen)
    kernel = KernelPages(ranker, data.users, data.videos, now=split.cut, seed=seed)
    if alone is not None:
        return kernel.pure(alone, job.shown.__getitem__)
    return kernel.full(codes, job.shown.__getitem__)


def _report(found: "dict[str, Measured]", job: "Task", seed: int) -> dict[str, Any]:
    from talentfeed.evaluation.protocol import groups, interval

    policies = {
        name: {
            "recall@24": float(one.recall.mean()),
            "recall@24_interval": interval(one.recall, seed=seed),
            "ndcg@24": float(one.ndcg.mean()),
            "ndcg@24_interval": interval(one.ndcg, seed=seed),
            "coverage": one.coverage,
        }
        for name, one in found.items()
    }
    by_history = {
        group: {
            "users": len(places),
            **{
                name: {"recall@24": float(one.recall[places].mean()), "ndcg@24": float(one.ndcg[places].mean())}
                for name, one in found.items()
            },
        }
        for group, places in groups(job.events)
    }
    return {"policies": policies, "by_history": by_history}


def _show(report: dict[str, Any], folder: Path, job: "Task") -> None:
    from rich.console import Console
    from rich.table import Table

    policies = report["policies"]
    table = Table(
        title=f"{folder.resolve().name}: {len(job.users):,} users, {job.n_videos:,} videos", title_justify="left"
    )
    table.add_column("measure")
    for name in policies:
        table.add_column(name, justify="right")
    for measure in ("recall@24", "ndcg@24"):
        table.add_row(measure, *(f"{one[measure]:.4f}" for one in policies.values()))
        table.add_row("  95 %", *("{:.3f}–{:.3f}".format(*one[f"{measure}_interval"]) for one in policies.values()))
    table.add_row("coverage", *(f"{100 * one['coverage']:.1f} %" for one in policies.values()))
    table.add_section()
    for group, one in report["by_history"].items():
        label = f"recall, {group} events ({one['users']:,})"
        table.add_row(label, *(f"{one[name]['recall@24']:.4f}" for name in policies))
    Console().print(table)
