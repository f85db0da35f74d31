"""Vectorised draws and texts that all parts of the demo use."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talentfeed.demo.words import FIELDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Music and dance are what most people show; the last fields are niches.
_RAW = 1.0 / (np.arange(len(FIELDS)) + 3.0)
FIELD_WEIGHTS: Floats = _RAW / _RAW.sum()

# How people write one and the same term: as it is, lower, upper, with a blank, or escaped as PHP does.
_WRITTEN = 5
_WRITTEN_WEIGHTS = (0.90, 0.03, 0.01, 0.01, 0.05)


def some(rng: np.random.Generator, n: int, rate: float) -> Ints:
    """Row numbers of a share of n rows, at least one where there are rows; ascending."""
    wanted = min(n, max(1, round(n * rate)))
    return np.sort(rng.choice(n, wanted, replace=False))


def fields(rng: np.random.Generator, n: int) -> Ints:
    """n fields, the popular ones more often."""
    return rng.choice(len(FIELDS), n, p=FIELD_WEIGHTS)


def stamps(
    seconds: Floats,  # (n,) since 1970
) -> list[str]:
    """Times as the platform writes them: `YYYY-MM-DD HH:MM:SS`, UTC."""
    if not len(seconds):
        return []
    written = np.datetime_as_string(seconds.astype(np.int64).astype("datetime64[s]"))
    written.view("U1").reshape(len(seconds), -1)[:, 10] = " "
    return [str(text) for text in written.tolist()]


def iso(stamp: str) -> str:
    """The platform's time as an activity writes it."""
    return f"{stamp[:10]}T{stamp[11:]}.000Z"


def picked(values: Sequence[str], indices: Ints) -> list[Any]:
    """The texts at these indices."""
    return list(np.array(values, dtype=object)[indices].tolist())


def texts(rng: np.random.Generator, values: Sequence[str], n: int) -> list[Any]:
    """n of these texts, each equally likely."""
    return picked(values, rng.integers(len(values), size=n))


def without(rng: np.random.Generator, values: list[Any], rate: float) -> list[Any]:
    """The same list with a share of its values absent."""
    for row in some(rng, len(values), rate).tolist():
        values[row] = None
    return values


def lists(rng: np.random.Generator, values: Sequence[str], n: int, *, most: int, pool: int = 500) -> list[Any]:
    """n JSON lists of 1 to `most` distinct texts, of which the first are the likeliest."""
    weights = 1.0 / np.arange(1, len(values) + 1)
    weights /= weights.sum()
    made = [
        json.dumps([values[i] for i in rng.choice(len(values), size, replace=False, p=weights)], ensure_ascii=False)
        for size in rng.integers(1, min(most, len(values)) + 1, min(pool, n)).tolist()
    ]
    return texts(rng, made, n)


class Terms:
    """Terms by field, drawn by Zipf's law within a field: the r-th has a weight of about 1/r."""

    def __init__(self, by_field: Mapping[str, Sequence[str]]) -> None:
        terms = [term for field in FIELDS for term in by_field[field]]
        self.size = np.array([len(by_field[field]) for field in FIELDS])
        self.start = np.concatenate(([0], np.cumsum(self.size)[:-1]))
        self.total = len(terms)
        written = [json.dumps(t, ensure_ascii=False) for t in terms]
        written += [json.dumps(t.lower(), ensure_ascii=False) for t in terms]
        written += [json.dumps(t.upper(), ensure_ascii=False) for t in terms]
        written += [json.dumps(t + " ", ensure_ascii=False) for t in terms]
        written += [json.dumps(t) for t in terms]
        self.written = np.array(written, dtype=object)
        self.plain = terms

    def one(self, rng: np.random.Generator, of_fields: Ints) -> Ints:
        """For each field one of its terms, by number."""
        rank = ((self.size[of_fields] + 1.0) ** rng.random(of_fields.shape)).astype(np.int64) - 1
        term: Ints = self.start[of_fields] + np.minimum(rank, self.size[of_fields] - 1)
        return term

    def lists(
        self,
        rng: np.random.Generator,
        of_fields: Ints,  # (n,)
        counts: Ints,  # (n,) how many are drawn; doublets fall away
        *,
        loyalty: float = 0.8,  # share drawn from the row's own field
    ) -> list[Any]:
        """n JSON lists."""
        owner = np.repeat(of_fields, counts)
        wanted = np.where(rng.random(len(owner)) < loyalty, owner, fields(rng, len(owner)))
        drawn = self.one(rng, wanted) + self.total * rng.choice(_WRITTEN, len(owner), p=_WRITTEN_WEIGHTS)
        terms = self.written[drawn].tolist()
        ends = np.cumsum(counts)
        spans = zip((ends - counts).tolist(), ends.tolist(), strict=True)
        return [f"[{', '.join(dict.fromkeys(terms[start:end]))}]" for start, end in spans]
