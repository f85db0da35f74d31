"""`python -m talentfeed` is the same command as `talentfeed`."""

from talentfeed.cli import main

main()
