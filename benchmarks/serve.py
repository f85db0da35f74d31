"""Feeds a second of one worker over HTTP with Redis recording, beside the same bytes ready-made. `--help` says more."""

import argparse

from benchmarks.options import positive

EXAMPLES = """\
examples:
  python -m benchmarks.serve                     two minutes, data included
  python -m benchmarks.serve --seconds 20        longer, so steadier, phases (default 8 seconds each)
  python -m benchmarks.serve --data /tmp/bench   keep the made-up data there and use them again
  python -m benchmarks.serve | tail -1 | jq .share

The demo's data at today's scale, a Redis, and `talentfeed serve` with one worker held to one core; Redis and wrk have
the others. wrk asks at 16 connections for viewers with a history, without one and unknown, a third of them scrolling.
The rival is the same application on a route that answers with the bytes of one feed, ready-made. Half load is half of
the feeds a second that were measured; the rival at that rate tells how much of the 99th percentile is the machine's,
and so does a fixed computation on the idle core before all. While the load lasts, a neighbour sends 300,000 bytes of
excluded_ids ten times a second; then a build runs, on all cores. Two workers are measured where the machine has four.
"""


def main() -> None:
    """Measure, print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=positive, default=8, help="of each phase (default 8)")
    parser.add_argument("--data", help="folder for the data (default: a temporary one)")
    chosen = parser.parse_args()
    from benchmarks.serving import run

    run(seconds=chosen.seconds, data=chosen.data)


if __name__ == "__main__":
    main()
