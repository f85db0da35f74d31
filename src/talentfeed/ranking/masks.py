"""Sets of rows as bits, so that a rule over a whole catalogue is one operation and a count is exact.

A mask is a Python int for a small catalogue (an operation costs less than a call into NumPy) and 64-bit words for a
large one. Both take the operators & | ^ ~; all else goes through their `Ground`. Bits past the last row are 0 in every
mask except below an inversion: a complement is always met with a mask that has been made here.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from talentfeed.contracts import Bools, Bytes, Indices, Ints

_Rows = Ints | Indices
Mask = Any  # int, or (words,) little-endian uint64

SMALL = 32_768  # rows up to which ints are faster, measured
_FEW = 24
_WORD = np.dtype("<u8")


class Ground:
    """The rows 0..n-1 that masks speak of."""

    __slots__ = ("_bytes", "_words", "n", "none", "small")

    def __init__(self, n: int, *, small_up_to: int | None = None) -> None:
        self.n = n
        self.small = n <= (SMALL if small_up_to is None else small_up_to)
        self._words = (n + 63) // 64
        self._bytes = (n + 7) // 8
        self.none: Mask = 0 if self.small else np.zeros(self._words, _WORD)

    def of(self, flags: Bools) -> Mask:
        """The rows that are flagged, from (n,)."""
        packed = np.packbits(flags, bitorder="little")
        if self.small:
            return int.from_bytes(packed.tobytes(), "little")
        words = np.zeros(self._words, _WORD)
        words.view(np.uint8)[: len(packed)] = packed
        return words

    def all(self) -> Mask:
        """Every row; a mask of its own."""
        if self.small:
            return (1 << self.n) - 1
        words = np.full(self._words, ~np.uint64(0), _WORD)
        if self.n % 64:
            words[-1] >>= np.uint64(64 - self.n % 64)
        return words

    def of_rows(self, rows: _Rows) -> Mask:
        """These rows, in any order and repeated or not."""
        if not self.small or len(rows) <= _FEW:
            return self.put(0 if self.small else np.zeros(self._words, _WORD), rows)
        flags = np.zeros(self.n, np.bool_)
        flags[rows] = True
        return self.of(flags)

    def put(self, mask: Mask, rows: _Rows) -> Mask:
        """The mask with these rows. It may be changed in place: use what is returned, and no mask that others hold."""
        if not self.small:
            np.bitwise_or.at(mask, rows >> 6, np.left_shift(np.uint64(1), (rows & 63).astype(np.uint64)))
            return mask
        if len(rows) > _FEW:
            return mask | self.of_rows(rows)
        for row in rows.tolist():
            mask |= 1 << row
        return mask

    def drop(self, mask: Mask, rows: _Rows) -> Mask:
        """The mask without these rows; as `put`."""
        if not self.small:
            np.bitwise_and.at(mask, rows >> 6, ~np.left_shift(np.uint64(1), (rows & 63).astype(np.uint64)))
            return mask
        return mask & ~self.of_rows(rows)

    def drop_one(self, mask: Mask, row: int) -> Mask:
        """The mask without a row; as `put`."""
        if self.small:
            return mask & ~(1 << row)
        mask[row >> 6] &= ~np.uint64(1 << (row & 63))
        return mask

    def has(self, mask: Mask, row: int) -> bool:
        """Whether a row is in it."""
        if self.small:
            return bool(mask >> row & 1)
        return bool(int(mask[row >> 6]) >> (row & 63) & 1)

    def first(self, mask: Mask, rows: Iterable[int]) -> int | None:
        """The first of the rows that is in it."""
        if self.small:
            for row in rows:
                if mask >> row & 1:
                    return row
            return None
        for row in rows:
            if int(mask[row >> 6]) >> (row & 63) & 1:
                return row
        return None

    def count(self, mask: Mask) -> int:
        """How many rows are in it."""
        return int(mask.bit_count()) if self.small else int(np.bitwise_count(mask).sum(dtype=np.int64))

    def some(self, mask: Mask) -> bool:
        """Whether any row is in it."""
        return bool(mask) if self.small else bool(mask.any())

    def flags(self, mask: Mask, rows: _Rows) -> Bytes:
        """1 for each of the rows that is in it, else 0."""
        if self.small:
            packed = np.frombuffer(mask.to_bytes(self._bytes, "little"), np.uint8)
            return np.unpackbits(packed, bitorder="little").take(rows)
        flags: Bytes = mask.view(np.uint8).take(rows >> 3) >> (rows & 7).astype(np.uint8)
        return flags & np.uint8(1)

    def rows(self, mask: Mask) -> Ints:
        """Its rows, ascending."""
        packed = np.frombuffer(mask.to_bytes(self._bytes, "little"), np.uint8) if self.small else mask.view(np.uint8)
        return np.flatnonzero(np.unpackbits(packed, bitorder="little"))

    def nth(self, mask: Mask, k: int) -> int:
        """Its row number k, in ascending order from 0."""
        if self.small:
            return int(self.rows(mask)[k])
        reach = np.bitwise_count(mask).cumsum(dtype=np.int64)
        word = int(reach.searchsorted(k, side="right"))
        before = int(reach[word - 1]) if word else 0
        bits = np.unpackbits(mask[word : word + 1].view(np.uint8), bitorder="little")
        return word * 64 + int(np.flatnonzero(bits)[k - before])
