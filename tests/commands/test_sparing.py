"""What a start spares is missed by nobody: libraries work as ever, also where their spared parts are wanted later."""

import subprocess
import sys

CODE = """
import sys
from talentfeed.commands.sparing import spare_documentation, uvicorn_without_its_command

spare_documentation()
with uvicorn_without_its_command():
    import uvicorn
assert "click" not in sys.modules
assert "uvicorn.main" not in sys.modules
assert uvicorn.Server.__module__ == "uvicorn.server"

import uvicorn.main
assert uvicorn.main.main.name == "main"

import numpy as np
assert not np.ndarray.reshape.__doc__
assert np.ma.masked_array([1, 2], mask=[True, False]).sum() == 2
assert np.unique(np.array([3, 1, 3])).tolist() == [1, 3]
print("done")
"""


def test_what_is_spared_is_there_when_it_is_wanted() -> None:
    result = subprocess.run([sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=False)
    assert result.stdout == "done\n", result.stderr


def test_who_has_uvicorn_already_keeps_what_they_have() -> None:
    code = """
import uvicorn
from talentfeed.commands.sparing import uvicorn_without_its_command
had = uvicorn.main
with uvicorn_without_its_command():
    import uvicorn
assert uvicorn.main is had
"""
    subprocess.run([sys.executable, "-c", code], check=True)


METHODS = """
import dataclasses
from talentfeed.commands.sparing import spare_methods

plainly = dataclasses.make_dataclass("Point", ["x", "y"], frozen=True, slots=True, kw_only=True)
spare_methods()

@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    x: int
    y: int = 0

@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place(Point):
    z: int = 0

a, b, c = Point(x=1), Point(x=1), Place(x=1, z=2)
stub = Point.__eq__
for _ in range(2):
    assert a == b and not a != b and a != Point(x=2) and a != c and c == Place(x=1, z=2) and c != 1
    assert hash(a) == hash(b) == hash(plainly(x=1, y=0)) and {a: "a"}[b] == "a"
    assert repr(a) == "Point(x=1, y=0)" and repr(c) == "Place(x=1, y=0, z=2)"
    for change in (lambda: setattr(a, "x", 3), lambda: delattr(c, "z")):
        try:
            change()
        except dataclasses.FrozenInstanceError as error:
            assert str(error) in {"cannot assign to field 'x'", "cannot delete field 'z'"}
        else:
            raise AssertionError("it changes")
assert Point.__eq__ is not stub  # what was called once is the method itself
assert dataclasses.replace(c, y=5) == Place(x=1, y=5, z=2) and dataclasses.asdict(a) == {"x": 1, "y": 0}
print("done")
"""


def test_dataclasses_are_as_ever_although_their_methods_come_when_called() -> None:
    result = subprocess.run([sys.executable, "-W", "error", "-c", METHODS], capture_output=True, text=True, check=False)
    assert result.stdout == "done\n", result.stderr
