"""Fields of a JSON object: read in every accepted form, every wrong one noted. Nothing is raised here."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from talentfeed.api.problems import Problem
from talentfeed.contracts import Ints

MAX_ID = 2**63 - 1
MAX_IDS = 50_000
SHOWN_WRONG_IDS = 10  # of one list

WHOLE_NUMBER = "a whole number from 0 to 2^63-1, or a text of its digits"
ID_LIST = "a list of whole numbers from 0 to 2^63-1 or texts of their digits, or one comma-separated text of them"
KEY_FORM = "a text of 1 to 128 letters, digits and . _ : -"

_KEY = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_DIGITS = re.compile(r"0*[0-9]{1,19}")
_SPACE = " \t\r\n"
_LONG_TEXT = 200  # characters; what is shorter is read sooner one by one
_SAFE_DIGITS = 18  # a number of so many is below 2^63
_ZERO, _COMMA = np.uint8(ord("0")), np.uint8(ord(","))
_NO_IDS: Ints = np.zeros(0, np.int64)


class Fields:
    """Reads one object's fields. null counts as absent everywhere. What is wrong is appended to `problems`."""

    __slots__ = ("_body", "_prefix", "problems")

    def __init__(self, body: Mapping[str, Any], problems: list[Problem], prefix: str = "") -> None:
        """`prefix` stands before the fields' names in problems, such as `activities[3].`."""
        self._body = body
        self._prefix = prefix
        self.problems = problems

    def get(self, name: str) -> Any:
        """The raw value; None where absent."""
        return self._body.get(name)

    def wrong(self, name: str, value: Any, accepted: str) -> None:
        """Note a wrong value."""
        needed = "required: " if value is None else ""
        self.problems.append(Problem(self._prefix + name, value, needed + accepted))

    def whole_number(
        self,
        names: Sequence[str],
        *,
        required: bool = False,
        least: int = 0,
        most: int = MAX_ID,
        accepted: str = WHOLE_NUMBER,
    ) -> int | None:
        """A whole number under its name or an alias. Two names that disagree are wrong: one of them is a mistake."""
        found: int | None = None
        given = False
        for name in names:
            value = self._body.get(name)
            if value is None:
                continue
            given = True
            number = to_whole(value)
            if number is None or not least <= number <= most:
                self.wrong(name, value, accepted)
            elif found is not None and number != found:
                self.wrong(name, value, f"the same as under the other name; or only one of {', '.join(names)}")
            else:
                found = number
        if required and not given:
            self.wrong(names[0], None, accepted if len(names) == 1 else f"{accepted} (alias {', '.join(names[1:])})")
        return found

    def number(self, name: str, least: float, most: float, *, required: bool = False) -> float | None:
        """A JSON number in a range; not a bool, not a text."""
        value = self._body.get(name)
        if value is None and not required:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return float(value)
        self.wrong(name, value, f"a number from {least:g} to {most:g}")
        return None

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str | None:
        """One of a few texts; without a default it is required."""
        value = self._body.get(name)
        if value is None and default is not None:
            return default
        if type(value) is str and value in choices:
            return value
        self.wrong(name, value, f"one of {', '.join(choices)}")
        return None

    def key(self, name: str) -> str | None:
        """A session's or feed's id: text that is safe inside a store's key."""
        value = self._body.get(name)
        if value is None:
            return None
        if type(value) is str and _KEY.fullmatch(value):
            return value
        self.wrong(name, value, KEY_FORM)
        return None

    def id_lists(self, names: Sequence[str]) -> Ints:
        """Ids, (n,) int64, as they came. Given under several names, all of them count: each was asked for."""
        parts: list[Ints] = []
        total = 0
        for name in names:
            value = self._body.get(name)
            if value is None:
                continue
            quick = _plain_text(value) if type(value) is str else None
            if quick is not None and total + len(quick) <= MAX_IDS:
                total += len(quick)
                parts.append(quick)
                continue
            items = _split(value)
            if items is None:
                self.wrong(name, value, ID_LIST)
                continue
            total += len(items)
            if total > MAX_IDS:
                self.wrong(name, f"{total} ids", f"at most {MAX_IDS} ids")
                return _NO_IDS
            parts.append(self._ids(name, items))
        if not parts:
            return _NO_IDS
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _ids(self, name: str, items: list[Any]) -> Ints:
        quick = _plain_ids(items)
        if quick is not None:
            return quick
        numbers: list[int] = []
        wrong = 0
        for place, item in enumerate(items):
            number = to_whole(item)
            if number is not None:
                numbers.append(number)
                continue
            wrong += 1
            if wrong <= SHOWN_WRONG_IDS:
                self.problems.append(Problem(f"{self._prefix}{name}[{place}]", item, WHOLE_NUMBER))
        if wrong > SHOWN_WRONG_IDS:
            self.wrong(name, f"{wrong} wrong ids", f"{ID_LIST}; only the first {SHOWN_WRONG_IDS} are shown")
        return np.array(numbers, np.int64)


def to_whole(value: Any) -> int | None:
    """An int (not a bool, not 12.0) or ASCII digits with blanks around them → int in 0 … 2^63-1, else None."""
    if type(value) is int:
        return value if 0 <= value <= MAX_ID else None
    if type(value) is str:
        text = value.strip(_SPACE)
        if _DIGITS.fullmatch(text):
            number = int(text.lstrip("0") or "0")  # Python counts leading zeros towards its limit of digits
            return number if number <= MAX_ID else None
    return None


def _split(value: Any) -> list[Any] | None:
    if type(value) is list:
        return value
    if type(value) is str:
        return value.split(",") if value.strip(_SPACE) else []
    return None


def _plain_text(text: str) -> Ints | None:
    """A long text of nothing but digits and single commas, read at once; None: look at each of its ids."""
    if len(text) < _LONG_TEXT or not text.isascii():
        return None
    letters = np.frombuffer(text.encode(), np.uint8)
    commas = np.flatnonzero(letters == _COMMA)
    if np.count_nonzero(letters - _ZERO <= 9) + len(commas) != len(letters):  # below zero it wraps around
        return None
    lengths = np.diff(commas, prepend=-1, append=len(letters)) - 1
    if lengths.min() < 1 or lengths.max() > _SAFE_DIGITS:
        return None
    return np.fromstring(text, np.int64, sep=",")


def _plain_ids(items: list[Any]) -> Ints | None:
    """A list that is all numbers or all plain digits, read without a look at each; None: look at each."""
    kinds = set(map(type, items))
    try:
        if kinds == {int}:
            ids = np.fromiter(items, np.int64, len(items))
            return ids if ids.min() >= 0 else None
        if kinds == {str} and "" not in items:
            digits = "".join(items)
            if digits.isascii() and digits.isdigit() and max(map(len, items)) <= 19:
                return np.fromiter(map(int, items), np.int64, len(items))
    except OverflowError:
        return None  # some id is too large; the look at each says which
    return None
