"""City names as people type them → one name a city. The spellings are data: `data/cities.csv`, `data/countries.csv`."""

import csv
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

UNKNOWN = "Unknown"
_SEPARATORS = re.compile(r"[\W_]+")
_INITIALS = re.compile(r"\b(\w) (?=\w\b)")  # `d c` and `dc` are the same


def key(text: str) -> str:
    """What two spellings of a name have in common: letters without accents, in one case; words apart by one blank."""
    letters = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    words = " ".join(_SEPARATORS.sub(" ", "".join(letters).casefold()).split())
    return _INITIALS.sub(r"\1", words)


@cache
def _names(table: str) -> Mapping[str, str]:
    lines = files(__package__).joinpath("data", table).read_text(encoding="utf-8").splitlines()
    rows = csv.reader(line for line in lines if line and not line.startswith("#"))
    next(rows)
    return {key(spelling or name): name for name, spelling in rows}


def _canonical(text: str | None, table: str) -> str:
    """The name by which the table knows it, else its own in title case; `""` where it names nothing."""
    spelled = key(text or "")
    return _names(table).get(spelled, spelled.title())


def normalise(city: str | None, country: str | None) -> str:
    """One name for all spellings of a city; `Other-<country>` where only that is known, else `Unknown`. SPEC 3."""
    if known := _canonical(city, "cities.csv"):
        return known
    where = _canonical(country, "countries.csv")
    return f"Other-{where}" if where else UNKNOWN
