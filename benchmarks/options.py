"""What the benchmarks' options have in common. It imports nothing: one of them sets threads before NumPy is loaded."""

import argparse

PRESET = "classic"  # that the aims are of, and that servers which are measured run under


def positive(text: str) -> int:
    """A whole number above 0. Raises ArgumentTypeError."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: want a number above 0")
    return number
