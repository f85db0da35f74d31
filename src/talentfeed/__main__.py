"""`python -m talentfeed` is the same command as `talentfeed`."""

import gc

gc.disable()  # nothing that imports make is garbage; looking for some takes a tenth of a start

from talentfeed import cli  # noqa: E402


def main() -> None:
    """The command line."""
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
