"""`talentfeed compare`: what if a weight, a pattern, a policy were another, judged on what this service served."""

from typing import Annotated, Any

import typer

from talentfeed import console, remote
from talentfeed.commands.starting import start_with_key
from talentfeed.errors import SettingsError


def compare(
    policy: Annotated[
        list[str],
        typer.Option(
            help="`logged`, or changes to it with commas between: policy=VERSION, preset=NAME, epsilon=SHARE, "
            "pattern=CODES, POOL.WEIGHT=NUMBER (pools: popular, affinity, fresh, flow). Give several."
        ),
    ],
    feeds: Annotated[int, typer.Option(min=1, max=20_000, help="The newest so many whose rewards are known.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="Other seed, other resamples.")] = 0,
) -> None:
    """What if: judge policies on the feeds this service served, by replay, IPS, SNIPS and DR, with 95 % intervals.

    Each place is asked by itself, with the viewer and the places before it as they were. Feeds are logged where
    POLICY_MODE is shadow or online. Of each policy but the first it also says what it earns more than the first, by
    resamples of feeds that are the same for both: an interval without 0 is a difference.

    \b
    talentfeed compare --policy logged --policy affinity.match=3.5
    talentfeed compare --policy "pattern=AU AU VMP AU NU FW" --policy epsilon=0.05,fresh.alpha=1
    """
    settings = start_with_key()
    if len(set(policy)) != len(policy):
        raise SettingsError("--policy: one is given twice; give each once")
    if settings.redis_host is None:  # what was served is inside the running server
        body = {"policies": policy, "feeds": feeds, "seed": seed}
        report = remote.ask_server(settings, "POST", f"{settings.api_prefix}/admin/policy/compare", body)
    else:
        from talentfeed.comparing import compare_once

        with console.progress() as progress:
            report = compare_once(settings, policy, feeds=feeds, seed=seed, progress=progress)
    _show(report)
    console.emit(report)


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Mean reward of a place, {report['feeds']:,} feeds", title_justify="left")
    for heading in ("policy", "estimate", "value", "95 % interval", "rows"):
        table.add_column(heading, justify="left" if heading in ("policy", "estimate") else "right")
    for name, one in report["policies"].items():
        for number, (estimate, e) in enumerate({"logged": one["logged"], **one["estimates"]}.items()):
            rows = {"logged": f"{one['rows']:,}", "replay": f"{one['replayed']:,} kept"}
            told = rows.get(estimate, f"{one['effective_rows']:,.0f} effective")
            label = estimate if estimate in rows else estimate.upper()
            interval = f"{e['low']:.5f} – {e['high']:.5f}"
            table.add_row("" if number else name, label, f"{e['value']:.5f}", interval, told)
        table.add_section()
    first = next(iter(report["policies"]))
    for name, estimates in report["differences"].items():
        for number, (estimate, e) in enumerate(estimates.items()):
            label = "" if number else f"{name} − {first}"
            table.add_row(
                label, estimate.upper(), f"{e['value']:+.5f}", f"{e['low']:+.5f} – {e['high']:+.5f}", "paired"
            )
        table.add_section()
    out = Console()
    out.print(table)
    for name, one in report["policies"].items():
        for warning in one["warnings"]:
            out.print(f"! {name}: {warning}", soft_wrap=True)
    for reason, number in report["skipped"].items():
        out.print(f"{number:,} feeds are left out: {reason}", soft_wrap=True)
