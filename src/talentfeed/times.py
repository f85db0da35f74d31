"""Seconds since 1970 as text: ISO 8601, UTC, with Z."""

import math
from datetime import UTC, datetime
from functools import lru_cache


def iso(at: float) -> str:
    """To the second, or to the microsecond where there is a fraction."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat() + "Z"


def iso_milliseconds(at: float) -> str:
    """To the millisecond, cut."""
    whole = math.floor(at)
    micros = round((at - whole) * 1e6)
    if micros == 1_000_000:
        whole, micros = whole + 1, 0
    return f"{_second(whole)}.{micros // 1000:03d}Z"


@lru_cache(64)  # many things happen in one second
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()
