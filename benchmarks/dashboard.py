"""The dashboard as text: a real Prometheus scrapes a real server under load, then answers every panel's queries."""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import load, service
from benchmarks.output import for_tables
from benchmarks.prometheus import Prometheus, Series, nothing, panels, watching
from rich.table import Table

LEARNING = {"POLICY_MODE": "online", "REWARD_WINDOW_SECONDS": "10", "POLICY_UPDATE_SECONDS": "10"}
EVERY = 2.0  # seconds between scrapes
EXAMPLES = """\
examples:
  python -m benchmarks.dashboard                  as `make dashboard`: two minutes
  python -m benchmarks.dashboard --seconds 60     shorter
"""
_UNITS: Mapping[str, Callable[[float], str]] = {
    "s": lambda value: (
        f"{value * 1e6:.0f} µs" if value < 1e-3 else f"{value * 1e3:.1f} ms" if value < 1 else f"{value:,.1f} s"
    ),
    "percentunit": lambda value: f"{value:.1%}",
    "reqps": lambda value: f"{value:,.2f}/s",
    "bytes": lambda value: f"{value / 2**20:,.1f} MiB",
    "short": lambda value: f"{value:,.0f}" if value == int(value) else f"{value:,.2f}",
}


def main() -> None:
    """Load, print every panel and, last, one JSON line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dashboard",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=120, help="of load (default 120)")
    parser.add_argument("--scale", type=float, default=0.2, help="of the data; 1 is today's size (default 0.2)")
    asked = parser.parse_args()
    chosen = argparse.Namespace(
        seconds=asked.seconds, scale=asked.scale, workers=2, visitors=8, pause=0.2, reload_every=30.0, seed=0
    )
    with tempfile.TemporaryDirectory(prefix="talentfeed-dashboard-") as folder:
        place = Path(folder)
        with service.platform(place, chosen.scale, said=lambda text: print(text, file=sys.stderr)) as environment:
            service.run(place, environment, "build")
            seen: dict[str, Any] = {}

            @contextlib.contextmanager
            def beside(server: service.Server) -> Iterator[None]:
                with (
                    learner(place, environment),
                    watching(place / "prometheus", server.port, every=EVERY) as prometheus,
                ):
                    yield
                    seen.update(printed(prometheus, chosen.seconds))

            given = {**environment, **LEARNING, "FLUSH_INTERVAL_SECONDS": "10"}
            report = load.under_load(place, given, chosen, beside=beside)
    print(json.dumps({**seen, "errors": report["errors"], "feeds": report["feeds"]}, separators=(",", ":")))
    if seen["unexplained"] or report["errors"]:
        sys.exit(1)


@contextlib.contextmanager
def learner(place: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """`talentfeed learn` in a process of its own, while inside."""
    with (place / "learner.log").open("ab") as output:
        command = [sys.executable, "-m", "talentfeed", "learn"]
        process = subprocess.Popen(command, cwd=place, env={**environment, **LEARNING}, stdout=output, stderr=output)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError((place / "learner.log").read_text()[-2_000:])
    finally:
        process.terminate()
        process.wait(timeout=60)


def printed(prometheus: Prometheus, seconds: float) -> dict[str, Any]:
    """Print every panel over the last `seconds`; → how many there are, and which show nothing without saying why."""
    console = for_tables()
    last, empty, unexplained = "", [], []
    for row, panel in panels():
        found = prometheus.panel(panel, seconds)
        if row != last:
            console.rule(f"[bold]{row}", align="left")
            last = row
        if found:
            console.print(_table(panel, found))
            continue
        why = nothing(panel)
        console.print(f"{panel['title']}: {why or 'NO DATA'}\n")
        empty.append(panel["title"])
        if why is None:
            unexplained.append(panel["title"])
    firing = prometheus.alerts()
    console.print(f"Alerts that fire: {', '.join(firing) or 'none'}")
    return {"panels": len(panels()), "empty": empty, "unexplained": unexplained, "firing": firing}


def _table(panel: Mapping[str, Any], series: list[Series]) -> Table:
    unit = _UNITS[panel["fieldConfig"]["defaults"]["unit"]]
    table = Table(title=panel["title"], title_justify="left", title_style="", box=None, padding=(0, 2, 0, 0))
    for name in ("", "least", "most", "now"):
        table.add_column(name, justify="right" if name else "left", style=None if name else "dim")
    table.add_column("over time")
    for one in series:
        least, most = min(one.values), max(one.values)
        table.add_row(one.name, unit(least), unit(most), unit(one.values[-1]), one.curve)
    return table


if __name__ == "__main__":
    main()
