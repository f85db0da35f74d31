"""Randomised rounds of faults against the service, its database and its Redis: is anything lost or doubled?"""

import argparse
import asyncio
import json
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from tests.faults import plan as plans
from tests.faults.account import Verdict
from tests.faults.rounds import Rounds
from tests.faults.world import World

EXAMPLES = """\
examples:
  python -m tests.faults                          200 rounds, one of them with 200,000 activities waiting
  python -m tests.faults --rounds 20              fewer
  python -m tests.faults --seed 4711 --rounds 1   one round again, as a failing one asks for
  python -m tests.faults --ledger off --rounds 20 the same without what makes a batch once: it must report doubled

An activity counts as acknowledged once a producer has read the 202 that answers it. At the end of every round each is
in activity_log exactly once, or set aside if it is one that the database refuses; others are there at most once.
"""


def main() -> int:
    """Run the rounds, print a table and, last, one JSON line. → the exit code: 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=plans.BACKLOG_EVERY, help="default 200")
    parser.add_argument("--seed", type=int, default=None, help="of the first round; default: another each time")
    parser.add_argument("--ledger", choices=("on", "off"), default="on", help="off: a ledger without its primary key")
    parser.add_argument("--activities", type=int, default=800, help="of a round, on average (default 800)")
    parser.add_argument("--verbose", action="store_true", help="a line a round, on stderr")
    parser.add_argument("--folder", type=Path, default=None, help="keep the servers' files and logs there")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # a multiple, so that the backlog is the same round of every run
    seed = secrets.randbelow(10**6) * plans.BACKLOG_EVERY if chosen.seed is None else chosen.seed
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(exist_ok=True)
    world = World(folder)
    try:
        world.start()
        if chosen.ledger == "off":
            world.switch_ledger_off()
        return asyncio.run(
            _run(world, range(seed, seed + chosen.rounds), activities=chosen.activities, verbose=chosen.verbose)
        )
    finally:
        world.stop()
        if chosen.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


async def _run(world: World, seeds: Sequence[int], *, activities: int, verbose: bool) -> int:
    rounds, began = Rounds(world), time.monotonic()
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    failed = before = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as bar:
        task = bar.add_task(f"rounds from seed {seeds[0]}", total=len(seeds))
        for seed in seeds:
            plan = plans.make(seed, activities=activities)
            started = time.monotonic()
            verdict = await rounds.run(plan)
            if verbose:
                told = f"{verdict.sent} sent, {verdict.acknowledged} acknowledged, {verdict.stored} stored"
                took = f"{time.monotonic() - started:.1f} s ({rounds.drained:.1f} s to flush what was left)"
                errors.print(f"round {seed}: {told}, {took}, {[(f.kind, f.target) for f in plan.faults]}")
            doubled, before = len(verdict.doubled) - before, len(verdict.doubled)
            if verdict.lost or doubled or rounds.stuck or rounds.wrong:
                failed += 1
                answers = f", answers {sorted(set(rounds.wrong))}" if rounds.wrong else ""
                told = f"lost {len(verdict.lost)}, doubled {doubled}{answers} {rounds.stuck}".rstrip()
                rounds.wrong.clear()
                errors.print(f"round {seed}: {told}; again with: make faults SEED={seed} ROUNDS=1")
                for fault in plan.faults:
                    errors.print(f"  {fault}")
            bar.advance(task)
            if rounds.stuck:
                break
        verdict = await rounds.final()
    _show(Console(width=100), rounds, verdict, n_rounds=len(seeds), seconds=time.monotonic() - began)
    kills = sum(n for (kind, _), n in rounds.faults.items() if kind == "kill")
    report = {
        "rounds": len(seeds),
        "kills": kills,
        "acknowledged": verdict.acknowledged,
        "stored": verdict.stored,
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
    }
    sys.stdout.write(json.dumps(report, separators=(",", ":")) + "\n")
    return 1 if failed or verdict.lost or verdict.doubled else 0


def _show(console: Console, rounds: Rounds, verdict: Verdict, *, n_rounds: int, seconds: float) -> None:
    table = Table(title=f"{n_rounds} rounds in {seconds:,.0f} s", title_justify="left")
    table.add_column("what befell")
    table.add_column("times", justify="right")
    for (kind, target), times in sorted(rounds.faults.items()):
        table.add_row(f"{kind} {target}" if kind in {"kill", "freeze", "clock"} else kind, f"{times:,}")
    table.add_section()
    for name, number in (
        ("activities sent", verdict.sent),
        ("acknowledged", verdict.acknowledged),
        ("stored", verdict.stored),
        ("set aside as refused", verdict.set_aside),
        ("lost", len(verdict.lost)),
        ("doubled", len(verdict.doubled)),
    ):
        table.add_row(name, f"{number:,}")
    table.add_section()
    floor, rows = rounds.ledger()
    table.add_row("times the ledger's floor was raised", f"{floor:,}")
    table.add_row("batches that the ledger still has", f"{rows:,}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
