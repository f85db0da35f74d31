"""City names as people type them → one name a city. The spellings are data: `data/cities.csv`, `data/countries.csv`."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

UNKNOWN = "Unknown"
_SEPARATORS = re.compile(r"[\W_]+")
_PLACE_PARTS = re.compile(r"\s*[,(\u2013\u2014-]")
_OTHER = re.compile(r"\s*other\s*-\s*(.*[^\W_].*)$", re.IGNORECASE)
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


def spelling(text: str) -> str:
    """The name as it is written, accents kept, in title case; words apart by one blank."""
    letters = (c for c in unicodedata.normalize("NFC", text) if not unicodedata.combining(c))
    return " ".join(_SEPARATORS.sub(" ", "".join(letters).casefold()).split()).title()


def _country(text: str | None) -> str:
    """The country's one name; as it is written where it is not known, `""` where it names none."""
    return _names("countries.csv").get(key(text or ""), spelling(text or ""))


def normalise(city: str | None, country: str | None) -> str:
    """One name for all spellings of a city; `Other-<country>` where only that is known, else `Unknown`. SPEC 3.

    A city that no table knows keeps its own spelling: `normalised` makes one of several.
    """
    cities, countries = _names("cities.csv"), _names("countries.csv")
    text = city or ""
    spelled = key(text)
    found = cities.get(spelled)
    if found is None and (other := _OTHER.match(text)):
        return f"Other-{_country(other[1])}"
    if found is None and (first := key(_PLACE_PARTS.split(text, maxsplit=1)[0])):  # `Bogotá, Cundinamarca`
        found = cities.get(first)
    if found is None and countries.get(spelled):
        return f"Other-{countries[spelled]}"
    if found is None and spelled:
        return spelling(text)
    if found:
        return found
    where = _country(country)
    return f"Other-{where}" if where else UNKNOWN


def normalised(places: Iterable[tuple[str | None, str | None]]) -> list[str]:
    """`normalise` of each; spellings that differ by accents alone become one, that with the most accents."""
    names = [normalise(city, country) for city, country in places]
    best: dict[str, str] = {}
    for name in sorted(set(names), key=lambda n: (-sum(not c.isascii() for c in n), n)):
        best.setdefault(key(name), name)
    return [best[key(name)] for name in names]
