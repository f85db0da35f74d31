"""Seconds since 1970 as text: ISO 8601, UTC, with Z."""

from datetime import UTC, datetime


def iso(at: float) -> str:
    """To the second, or to the microsecond where there is a fraction."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat() + "Z"


def iso_milliseconds(at: float) -> str:
    """To the millisecond, cut."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
