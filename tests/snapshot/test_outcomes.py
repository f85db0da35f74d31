"""Builds take turns, and who waited shares what came of the other."""

import threading
from pathlib import Path

from talentfeed.snapshot import outcomes
from talentfeed.snapshot.outcomes import BUILD, Outcome


def test_what_is_told_is_heard_and_each_telling_is_another(tmp_path: Path) -> None:
    assert outcomes.ask(tmp_path / "nowhere", BUILD) is None
    outcomes.tell(tmp_path, BUILD, Outcome(at=1.0, version="v", seconds={"read": 0.5}, bytes=7))
    first = outcomes.ask(tmp_path, BUILD)
    assert first is not None
    assert (first.at, first.version, first.seconds, first.bytes) == (1.0, "v", {"read": 0.5}, 7)
    outcomes.tell(tmp_path, BUILD, Outcome(at=1.0, version="v"))
    second = outcomes.ask(tmp_path, BUILD)
    assert second is not None
    assert second.id != first.id
    (tmp_path / BUILD).write_text('{"at"')
    assert outcomes.ask(tmp_path, BUILD) is None


def waited(folder: Path, told: Outcome | None) -> Outcome | None:
    """What is yielded to one that comes while another builds, which tells this at its end."""
    waiting, found = threading.Event(), []

    def second() -> None:
        with outcomes.turn(folder, waits=waiting.set) as before:
            found.append(before)

    with outcomes.turn(folder, waits=lambda: None) as nobody:
        assert nobody is None
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(60)
        assert not found
        if told is not None:
            outcomes.tell(folder, BUILD, told)
    thread.join(60)
    assert len(found) == 1
    return found[0]


def test_who_waited_is_told_what_came_of_it(tmp_path: Path) -> None:
    outcomes.tell(tmp_path, BUILD, Outcome(at=1.0, version="before"))
    shared = waited(tmp_path, Outcome(at=2.0, error="no such column"))
    assert shared is not None
    assert shared.error == "no such column"


def test_after_a_build_that_was_killed_the_next_builds_itself(tmp_path: Path) -> None:
    outcomes.tell(tmp_path, BUILD, Outcome(at=1.0, version="before"))
    assert waited(tmp_path, None) is None


def test_who_comes_later_builds_anew(tmp_path: Path) -> None:
    waited(tmp_path, Outcome(at=2.0, version="v"))
    with outcomes.turn(tmp_path, waits=lambda: None) as before:
        assert before is None
