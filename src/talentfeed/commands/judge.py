"""`talentfeed judge`: what a policy would have earned, from the log of another one."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talentfeed import console

if TYPE_CHECKING:
    from talentfeed.learning.off_policy import Judgement


def judge(
    folder: Annotated[Path, typer.Argument(help="Open Bandit logs: random/<campaign>/ and prior_bts.yaml.")],
    seed: Annotated[int, typer.Option(min=0, help="Other seed, other simulations and resamples.")] = 0,
    resamples: Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap resamples of an interval.")] = 2_000,
) -> None:
    """Judge the Open Bandit Dataset's Thompson sampling policy from its random log: replay, IPS, SNIPS, DR.

    Each with a 95 % bootstrap interval and the effective number of rows; a warning where these are too few to conclude.

    \b
    talentfeed judge path/to/open_bandit
    """
    from talentfeed.learning import off_policy, open_bandit

    found: dict[str, Judgement] = {}
    with console.progress() as progress:
        names = open_bandit.campaigns(folder)
        for number, name in enumerate(names):
            progress("campaigns", number / len(names))
            alpha, beta = open_bandit.read_prior(folder / "prior_bts.yaml", name)
            target = open_bandit.shares(alpha, beta, seed=seed)
            log = open_bandit.choices(open_bandit.read(folder, name), target)
            found[name] = off_policy.judge(log, seed=seed, resamples=resamples)
        progress("campaigns", 1.0)
    _show(found)
    campaigns = {name: dataclasses.asdict(judgement) for name, judgement in found.items()}
    console.emit({"policy": "bts", "log": "random", "seed": seed, "campaigns": campaigns})


def _show(found: "dict[str, Judgement]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Mean reward of a place", title_justify="left")
    for heading in ("campaign", "estimate", "value", "95 % interval", "rows"):
        table.add_column(heading, justify="left" if heading in ("campaign", "estimate") else "right")
    for name, one in found.items():
        weighted = f"{one.effective_rows:,.0f} effective"
        rows = {
            "logged": f"{one.rows:,}",
            "replay": f"{one.replayed:,} kept",
            "ips": weighted,
            "snips": weighted,
            "dr": "",
        }
        for number, (estimate, e) in enumerate({"logged": one.logged, **one.estimates}.items()):
            label = estimate if estimate in ("logged", "replay") else estimate.upper()
            interval = f"{e.low:.5f} – {e.high:.5f}"
            table.add_row("" if number else name, label, f"{e.value:.5f}", interval, rows[estimate])
        table.add_section()
    out = Console()
    out.print(table)
    for name, one in found.items():
        for warning in one.warnings:
            out.print(f"! {name}: {warning}", soft_wrap=True)
