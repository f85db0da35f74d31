"""Ids in listings, and times as text."""

import numpy as np
import pytest

from talentfeed.lookup import rows_of
from talentfeed.times import iso, iso_milliseconds


@pytest.mark.parametrize("listing", [[], [5], [1, 3, 5, 2**62]])
def test_each_id_is_found_where_it_is_and_no_other(listing: list[int]) -> None:
    ids = [0, 1, 2, 3, 5, 6, 2**62, 2**62 + 1, 5, 1]
    rows, known = rows_of(np.array(listing, np.int64), np.array(ids, np.int64))
    assert known.tolist() == [i in listing for i in ids]
    assert rows[known].tolist() == [listing.index(i) for i in ids if i in listing]


def test_no_ids_are_found_nowhere() -> None:
    rows, known = rows_of(np.array([1, 2], np.int64), np.zeros(0, np.int64))
    assert (len(rows), len(known)) == (0, 0)


def test_times_are_utc_with_as_much_of_the_second_as_is_asked_for() -> None:
    assert iso(1_772_366_400) == "2026-03-01T12:00:00Z"
    assert iso(1_772_366_400.25) == "2026-03-01T12:00:00.250000Z"
    assert iso_milliseconds(1_772_366_400) == "2026-03-01T12:00:00.000Z"
    assert iso_milliseconds(1_772_366_400.999_999_9) == "2026-03-01T12:00:01.000Z"
    assert iso_milliseconds(-0.5) == "1969-12-31T23:59:59.500Z"
    assert iso_milliseconds(1_772_366_400.2509) == "2026-03-01T12:00:00.250Z"
