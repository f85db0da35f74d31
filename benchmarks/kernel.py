"""A feed's time at several catalogue sizes, beside a plain NumPy reference and two libraries. `--help` says more."""

import argparse
import os

from benchmarks.options import positive

# One core for everybody; the libraries read these when NumPy is first imported, so nothing above may import it.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1")

SIZES = "1962,19620,196200,1000000"
EXAMPLES = """\
examples:
  python -m benchmarks.kernel                          today's scale, 10x, 100x and a million videos
  python -m benchmarks.kernel --sizes 1962 --profile   today's scale, and where the time of a feed goes
  python -m benchmarks.kernel --feeds 2000 --seed 7    a steadier 99th percentile, other viewers
  python -m benchmarks.kernel | tail -1 | jq .sizes    the figures for a program

A feed is read viewer, filters, features, scores, pools, 24 slots: all of it, on one core, each for another viewer,
moment and seed. The plain reference makes the same feeds in the same run and must choose the same items. MABWiser and
Vowpal Wabbit only score all videos for one pool and take the 24 best.
"""


def main() -> None:
    """Measure, print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernel",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", type=_sizes, default=SIZES, help=f"numbers of videos, by commas (default {SIZES})")
    parser.add_argument(
        "--feeds",
        type=positive,
        default=400,
        help="feeds a size and policy (default 400); a size ends after a minute once it has 100",
    )
    parser.add_argument("--seed", type=int, default=0, help="of catalogues, viewers and draws (default 0)")
    parser.add_argument("--profile", action="store_true", help="also print where the time of one feed goes")
    chosen = parser.parse_args()
    os.environ.update(ONE_THREAD)
    from benchmarks.contest import run

    run(chosen.sizes, n_feeds=chosen.feeds, seed=chosen.seed, profile=chosen.profile)


def _sizes(text: str) -> list[int]:
    return sorted({positive(part) for part in text.split(",")})


if __name__ == "__main__":
    main()
