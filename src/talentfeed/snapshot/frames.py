"""Tables as stored → the five frames, cleaned: SPEC 3. Every value and row left out is counted by kind.

What is relational are `steps`, which leave their rows with the workbench by name; here is what only Python does.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from talentfeed.snapshot import arriving, cities
from talentfeed.snapshot.blacklist import listed_urls
from talentfeed.snapshot.workbench import Workbench

log = logging.getLogger(__name__)
_LAZY = ("raw_profiles", "raw_resumes_exhibited", "user_city", "user_country", "client_types")  # read again later


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """What the workbench has, and what is known of all of it.

    Of its results times are float64 seconds, null where unknown; lists are arrays of texts as stored. `profiles` is the
    other half of `users`, with a number for each list, since many say the same. `city` is a place in `cities`; a
    video's or flow's is its creator's.
    """

    cities: Sequence[str]  # normalised names, `Unknown` first
    watermark: float  # newest time in the input; 0 where it has none
    blacklist: Path | None  # where URLs are listed


def take(bench: Workbench, name: str, rows: pa.Table) -> None:
    """What can be read of one table of `source.read` without the others."""
    tables = arriving.given(name, rows)
    for loaded, table in tables.items():
        bench.load(loaded, table)
    bench.step(name)
    for loaded in tables:
        if loaded not in _LAZY:
            bench.forget(loaded)


def clean(bench: Workbench, *, blacklist: Path | None = None) -> Frames:
    """Clean all that was taken. No blacklist file is no error, but logged."""
    listed = None if blacklist is None else listed_urls(blacklist)
    if blacklist is not None and listed is None:
        log.warning("blacklist %s: no such file; no URL is blacklisted", blacklist)
    lines, urls = [line for line, _ in listed or ()], [url for _, url in listed or ()]
    bench.load("blacklist", pa.table({"line": pa.array(lines, pa.int64()), "url": pa.array(urls, pa.string())}))
    bench.step("everyone")
    places, names = _places(bench.fetch("spellings"))
    bench.load("places", places)
    bench.step("seen")
    for name in ("users", "servable", "exposures"):
        bench.ask(name)
    bench.step("frames")
    bench.ask("newest")
    bench.step("mentions")
    bench.ask("raw_texts")
    watermark = float(bench.fetch("newest")["at"][0].as_py() or 0.0)
    bench.set("watermark", watermark)
    return Frames(cities=names, watermark=watermark, blacklist=blacklist if listed else None)


def left_out(bench: Workbench, frames: Frames) -> Mapping[str, int]:
    """`table.kind` -> how many values or rows, once all is cleaned; logged."""
    if frames.blacklist is not None and (idle := bench.fetch("idle")["lines"][0].as_py()):
        log.info("blacklist %s: %d lines are the URL of no video or flow", frames.blacklist, idle)
    bench.settle()
    skipped = {kind: n for kind, n in sorted(bench.skipped.items()) if n}
    for kind, n in skipped.items():
        log.info("skipped %s: %d", kind, n)
    return skipped


def _places(pairs: pa.Table) -> tuple[pa.Table, Sequence[str]]:
    """(city, country, place), the names by place: `Unknown` first, the others in order of their code points."""
    typed = (pairs[column].to_pylist() for column in ("city_typed", "country_typed"))
    found = cities.normalised(zip(*typed, strict=True))
    names = [cities.UNKNOWN, *sorted(set(found) - {cities.UNKNOWN})]
    places = {name: place for place, name in enumerate(names)}
    numbers = pa.array([places[name] for name in found], pa.int32())
    return pairs.select(["city", "country"]).append_column("place", numbers), names
