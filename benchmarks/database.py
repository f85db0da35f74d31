"""The demo's data on a real MariaDB that lives as long as a benchmark."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.options import PRESET
from tests.contracts import mysql_schema
from tests.contracts.mariadb import PASSWORD, USER, MariaServer

from talentfeed.demo.generate import generate
from talentfeed.settings import Settings

SCHEMA = "talentpitch"
SEED = 7
# as a server of a platform is set up, but for what keeps data safe through a crash, which loading does without
_ROOMY = ("--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M", "--innodb-flush-log-at-trx-commit=0")


@contextlib.contextmanager
def demo_on_mariadb(
    folder: Path, scale: float, *, said: Callable[[str], None] = lambda _stage: None
) -> Iterator[Mapping[str, str]]:
    """Make the demo's data at `scale`, put them into a MariaDB in `folder`, and end it when done.

    → the environment for `talentfeed` commands: this process', without settings, with those that name the server.
    `folder` holds data and must be empty; it stays. said: told what begins.
    """
    made = folder / "demo.db"
    said(f"making data at {scale:g}x")
    generate(made, scale=scale, seed=SEED)
    server = MariaServer(folder)
    server.arguments = [*_ROOMY]
    said(f"loading them into MariaDB at {scale:g}x")
    server.start()
    try:
        mysql_schema.create(server, SCHEMA)
        mysql_schema.copy(made, server, SCHEMA)
        made.unlink()
        unset = {name.upper() for name in Settings.model_fields}
        yield {
            **{name: value for name, value in os.environ.items() if name not in unset},
            "MYSQL_HOST": "127.0.0.1",
            "MYSQL_PORT": str(server.port),
            "MYSQL_USER": USER,
            "MYSQL_PASSWORD": PASSWORD,
            "MYSQL_DB": SCHEMA,
            "PRESET": PRESET,
        }
    finally:
        server.kill()
