"""The platform's log line."""

import json
import logging
import re
import threading
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path

import pytest

from talentfeed import logs


@pytest.fixture(autouse=True)
def _restore_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            handler.close()
    root.handlers, root.level = handlers, level


def test_a_line_has_the_platforms_form_in_its_time_zone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "logs" / "talent.log"
    logs.set_up(file=file)
    logger = logging.getLogger("talentfeed.somewhere")
    record = logger.makeRecord(logger.name, logging.INFO, __file__, 1, "served %d", (24,), None)
    record.created, record.msecs = 1_700_000_000.25, 250
    logger.handle(record)
    expected = "2023-11-14 17:13:20,250 - talentfeed.somewhere - INFO - served 24\n"
    assert capsys.readouterr().out == expected
    assert file.read_text() == expected


def test_the_file_may_be_moved_away_by_an_outside_rotation(tmp_path: Path) -> None:
    file = tmp_path / "talent.log"
    logs.set_up(file=file)
    logging.getLogger("a").warning("one")
    file.rename(tmp_path / "talent.log.1")
    logging.getLogger("a").warning("two")
    assert "one" in (tmp_path / "talent.log.1").read_text()
    assert re.fullmatch(r"[^\n]* - a - WARNING - two\n", file.read_text())


def test_a_file_that_cannot_be_written_does_not_stop_the_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    logs.set_up(file=tmp_path / "taken" / "talent.log")
    logging.getLogger("a").info("goes on")
    out = capsys.readouterr().out
    assert "cannot be written" in out
    assert "goes on" in out


def test_a_log_folder_that_vanishes_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "talent.log"
    logs.set_up(file=file)
    logging.getLogger("a").warning("one")
    file.unlink()
    file.parent.rmdir()
    logging.getLogger("a").warning("two")
    assert "two" in file.read_text()


def test_a_file_that_cannot_be_reopened_fails_nobody_and_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "logs" / "talent.log"
    logs.set_up(file=file)
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("a file where the folder was")
    logging.getLogger("a").warning("one")
    logging.getLogger("a").warning("two")
    out = capsys.readouterr().out
    assert out.count("cannot be written") == 1
    assert "one" in out
    assert "two" in out
    file.parent.unlink()
    logging.getLogger("a").warning("three")
    assert "three" in file.read_text()


@pytest.mark.parametrize("form", ["platform", "json"])
def test_lines_of_a_request_carry_its_id_and_others_none(form: logs.Form, tmp_path: Path) -> None:
    file = tmp_path / "talent.log"
    logs.set_up(file=file, form=form)

    def answer() -> None:
        logs.REQUEST_ID.set("mine-1")
        logging.getLogger("a").info("in the request")
        thread = threading.Thread(target=copy_context().run, args=(logging.getLogger("a").info, "in its thread"))
        thread.start()
        thread.join()

    copy_context().run(answer)
    logging.getLogger("a").info("beside")
    inside, threaded, beside = file.read_text().splitlines()
    assert "mine-1" in inside
    assert "mine-1" in threaded
    assert "mine-1" not in beside


def test_a_json_line_is_one_object_whatever_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "talent.log"
    logs.set_up(file=file, form="json")
    logger = logging.getLogger("talentfeed.somewhere")
    record = logger.makeRecord(
        logger.name, logging.INFO, __file__, 1, "two\nlines, a %s and \udcff", ('"quote"',), None
    )
    record.created = 1_700_000_000.25
    logger.handle(record)
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError:
        logger.exception("failed")
    first, second = map(json.loads, file.read_text().splitlines())
    assert first == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "module": "talentfeed.somewhere",
        "message": 'two\nlines, a "quote" and \\udcff',
    }
    assert second["exception"].endswith("ZeroDivisionError: why")
    assert capsys.readouterr().out == file.read_text()
