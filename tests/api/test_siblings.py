"""The metrics of several workers in one answer."""

import asyncio
from pathlib import Path

import pytest

from talentfeed.api.siblings import Siblings, merged

pytestmark = pytest.mark.anyio

HEAD = b"# HELP a_total Text, with spaces\n# TYPE a_total counter\n"
ONE = HEAD + b'a_total{kind="x y"} 1.0\n# HELP b B\n# TYPE b gauge\nb 2.0\n'
TWO = HEAD + b'a_total{kind="x y"} 5.0\n'


def test_each_family_is_there_once_and_each_sample_says_whose_it_is() -> None:
    assert merged({"2": TWO, "1": ONE}).decode().splitlines() == [
        "# HELP a_total Text, with spaces",
        "# TYPE a_total counter",
        'a_total{worker="1",kind="x y"} 1.0',
        'a_total{worker="2",kind="x y"} 5.0',
        "# HELP b B",
        "# TYPE b gauge",
        'b{worker="1"} 2.0',
    ]


async def test_workers_ask_each_other_and_leave_out_who_is_gone(tmp_path: Path) -> None:
    first, second, third = (Siblings(tmp_path, name) for name in "123")
    await first.start(lambda: ONE)
    await second.start(lambda: TWO)
    await third.start(lambda: b"")
    await third.stop()
    assert await first.texts() == {"1": ONE, "2": TWO}
    assert await second.texts() == {"1": ONE, "2": TWO}
    (tmp_path / "4").touch()  # of one that was killed
    assert set(await first.texts()) == {"1", "2"}
    await first.stop()
    await second.stop()


async def test_one_that_takes_the_place_of_a_killed_one_answers(tmp_path: Path) -> None:
    asker = Siblings(tmp_path, "1")
    killed = await asyncio.start_unix_server(lambda _r, w: w.close(), tmp_path / "2")
    killed.close()
    await killed.wait_closed()
    again = Siblings(tmp_path, "2")
    await again.start(lambda: TWO)
    assert (await asker.texts())["2"] == TWO
    await again.stop()


async def test_one_whose_folder_is_gone_tells_of_itself(tmp_path: Path) -> None:
    alone = Siblings(tmp_path / "gone", "1")
    (tmp_path / "gone").mkdir()
    await alone.start(lambda: ONE)
    (tmp_path / "gone" / "1").unlink()
    (tmp_path / "gone").rmdir()
    assert await alone.texts() == {"1": ONE}
    await alone.stop()
