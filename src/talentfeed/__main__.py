"""`python -m talentfeed` is the same command as `talentfeed`."""

import gc
import sys

gc.disable()  # nothing that imports make is garbage; looking for some takes a tenth of a start

NUMBERS = frozenset(map(str, range(1, 257)))  # of workers


def main() -> None:
    """The command line. A plain `serve` goes without its parser, which takes a twentieth of a start."""
    match sys.argv[1:]:
        case ["serve"]:
            _serve(None)
        case ["serve", "--workers", number] if number in NUMBERS:
            _serve(int(number))
        case _:
            from talentfeed import cli

            gc.enable()
            cli.main()


def _serve(workers: int | None) -> None:
    from talentfeed.commands import serving, starting

    starting.to_its_end(lambda: serving.begin(workers=workers))


if __name__ == "__main__":
    main()
