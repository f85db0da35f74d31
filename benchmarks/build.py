"""The time and memory of `talentfeed build` from a real MariaDB, at several scales. `--help` says more."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.database import demo_on_mariadb
from benchmarks.output import for_tables
from rich.console import Console
from rich.table import Table

from talentfeed.snapshot import plans

SCALES = "1,10"
EXAMPLES = """\
examples:
  python -m benchmarks.build                       today's scale and ten times as much
  python -m benchmarks.build --scales 1 --runs 5   today's scale, a steadier figure
  python -m benchmarks.build | tail -1 | jq        the figures for a program

A build is the whole command, in a process of its own: start, read, clean, derive, pack, check, publish, exit. Its
database is on this machine and takes processor time of its own. Every run begins without a snapshot, and all runs of a
scale must publish the same version. The first has to write its statements, which those after it follow: it is a figure
of its own. Of those after it the fastest counts, with its own processor time.
"""
_AIMS = {1.0: (4.0, None), 10.0: (30.0, 4.0)}  # scale: most seconds, most GB


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One build."""

    seconds: float
    busy: float  # processor seconds of the build alone, over all its threads
    peak: float  # GB of memory, at most
    version: str
    bytes: int
    counts: Mapping[str, int]


def main() -> None:
    """Measure, print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.build",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scales", type=_scales, default=SCALES, help=f"by commas; 1 is today's (default {SCALES})")
    parser.add_argument("--runs", type=_count, default=2, help="builds a scale after the first (default 2)")
    chosen = parser.parse_args()
    console, said = for_tables(), Console(stderr=True)
    firsts: dict[float, Run] = {}
    best: dict[float, Run] = {}
    for scale in chosen.scales:
        with tempfile.TemporaryDirectory() as folder, said.status("") as status:
            place = Path(folder) / "server"
            place.mkdir()
            with demo_on_mariadb(place, scale, said=status.update) as environment:
                status.update(f"building at {scale:g}x")
                firsts[scale] = built(environment, Path(folder) / "first")
                known = Path(folder) / "first" / "snapshots" / plans.FILE
                runs = [built(environment, Path(folder) / f"data{number}", known) for number in range(chosen.runs)]
        if len(versions := {run.version for run in (firsts[scale], *runs)}) > 1:
            raise RuntimeError(f"the same input gave other snapshots: {', '.join(versions)}")
        best[scale] = min(runs, key=lambda run: run.seconds)
    _show(console, firsts, best)
    figures: dict[str, float] = {}
    for scale, run in best.items():
        times = "" if scale == 1 else f"_{scale:g}x"
        figures |= {f"build{times}_s": round(run.seconds, 2), f"build{times}_cpu_s": round(run.busy, 2)}
        figures |= {f"peak_gb{times}": round(max(run.peak, firsts[scale].peak), 2)}
        figures |= {f"first_build{times}_s": round(firsts[scale].seconds, 2)}
    print(json.dumps(figures, separators=(",", ":")))


def built(environment: Mapping[str, str], data: Path, known: Path | None = None) -> Run:
    """One `talentfeed build` into a folder of its own, with the plans of a build before it where there was one.

    Raises RuntimeError with what it said where it fails.
    """
    (data / "snapshots").mkdir(parents=True)
    if known is not None:
        shutil.copy(known, data / "snapshots")
    began = time.perf_counter()
    with (data / "said").open("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "talentfeed", "build"],
            env={**environment, "DATA_DIR": str(data), "LOG_FILE": "off"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"the build failed: {errors.read()}")
    report = json.loads(output.splitlines()[-1])
    return Run(
        seconds=seconds,
        busy=used.ru_utime + used.ru_stime,
        peak=used.ru_maxrss * 1024 / 1e9,
        version=report["version"],
        bytes=report["bytes"],
        counts=report["counts"],
    )


def _show(console: Console, firsts: Mapping[float, Run], best: Mapping[float, Run]) -> None:
    table = Table(title="talentfeed build, from MariaDB")
    for name in ("scale", "users", "videos", "s (aim)", "processor s", "the first", "peak GB (aim)", "snapshot MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for scale, run in best.items():
        seconds, peak = _AIMS.get(scale, (None, None))
        table.add_row(
            f"{scale:g}x",
            f"{run.counts['users']:,}",
            f"{run.counts['videos']:,}",
            f"{run.seconds:.2f}" + (f" ({seconds:g})" if seconds else ""),
            f"{run.busy:.2f}",
            f"{firsts[scale].seconds:.2f}",
            f"{max(run.peak, firsts[scale].peak):.2f}" + (f" ({peak:g})" if peak else ""),
            f"{run.bytes / 1e6:,.1f}",
        )
    console.print(table)
    console.print(f"{os.cpu_count()} cores, load before and with it {os.getloadavg()[1]:.1f}")


def _scales(text: str) -> list[float]:
    scales = sorted({float(part) for part in text.split(",")})
    if not all(0.001 <= scale <= 100 for scale in scales):
        raise argparse.ArgumentTypeError(f"{text}: each from 0.001 to 100")
    return scales


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: want a number above 0")
    return int(text)


if __name__ == "__main__":
    main()
