"""Inverted lists: which rows hold a code. Rows are int64: NumPy indexes with them four times faster than with int32."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import Indices, Ints


@dataclass(frozen=True, slots=True)
class Postings:
    """For each code 0..n-1 the entries that hold it, in ascending order."""

    start: Ints  # (n + 1,)
    entries: Ints

    def of(self, code: int) -> Ints:
        """The entries of one code; none for a code out of range."""
        if not 0 <= code < len(self.start) - 1:
            return self.entries[:0]
        return self.entries[self.start.item(code) : self.start.item(code + 1)]

    def of_all(self, codes: Iterable[int]) -> Ints:
        """The entries of several distinct codes, one after the other."""
        lists = [self.of(code) for code in codes]
        return np.concatenate(lists) if lists else self.entries[:0]


def invert(
    codes: Indices,  # (m,) int32, not negative
    n: int,  # number of codes
) -> Postings:
    """Entry i is listed under codes[i]."""
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(codes, minlength=n), out=start[1:])
    return Postings(start, np.argsort(codes, kind="stable").astype(np.int64))
