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
