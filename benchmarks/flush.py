"""What recording a feed costs, and how quickly activities reach MariaDB, each once. `--help` says more."""

import argparse

from benchmarks.options import positive

EXAMPLES = """\
examples:
  python -m benchmarks.flush                           a minute and a half
  python -m benchmarks.flush --seconds 10              the sustained rate over ten seconds instead of a minute
  python -m benchmarks.flush --activities 200000       a larger backlog to flush
  python -m benchmarks.flush | tail -1 | jq .ratio     the figures for a program

A Redis (append-only, synced on each write) and a MariaDB (InnoDB, synced on each commit) are started on loopback in a
temporary folder and ended again. Feeds are made from slates of a made-up catalogue of today's size. The sustained rate
is what one flusher stores while another process goes on recording feeds and keeps what waits at one level; at the end
every activity must be in `activity_log` exactly once.
"""


def main() -> None:
    """Measure, print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.flush",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--activities", type=positive, default=100_000, help="to flush at once (default 100000)")
    parser.add_argument("--feeds", type=positive, default=4_000, help="to record for the CPU a feed (default 4000)")
    parser.add_argument("--seconds", type=positive, default=60, help="of the sustained rate (default 60)")
    chosen = parser.parse_args()
    from benchmarks.flushing import run

    run(activities=chosen.activities, feeds=chosen.feeds, seconds=chosen.seconds)


if __name__ == "__main__":
    main()
