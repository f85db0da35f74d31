"""Compiles the kernel (src/talentfeed/ranking/native) when the project is installed, or now: python hatch_build.py

What follows on the command line goes to the compiler, and the library is then made anew: see scripts/sanitize.sh.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

RANKING = Path("src/talentfeed/ranking")
# Sums keep their order and are not fused, so that the same input gives the same bits on any machine.
FLAGS = ["-O3", "-std=c11", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno", "-Wall"]


class CompileKernel(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled kernel to the wheel, or to the tree of an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        library = compile_kernel(Path(self.root))
        build_data["artifacts"].append(library.relative_to(self.root).as_posix())
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def compile_kernel(root: Path, *flags: str) -> Path:
    """The shared library, made anew unless it is of these sources already, or with other flags."""
    sources = sorted((root / RANKING / "native").glob("*.[ch]"))
    whole = hashlib.sha256()
    for path in sources:
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    digest = whole.hexdigest()
    library = root / RANKING / "_kernel.so"
    if not flags and library.exists() and digest.encode() in library.read_bytes():
        return library
    named = os.environ.get("CC") or next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if named is None:
        raise SystemExit("No C compiler found. Install one:  apt-get install gcc libc6-dev   (or name it in CC)")
    made = library.with_suffix(f".{os.getpid()}.so")
    files = [str(path) for path in sources if path.suffix == ".c"]
    subprocess.run(
        [*shlex.split(named), *FLAGS, *flags, f'-DTALENTFEED_SOURCE="{digest}"', *files, "-o", str(made)], check=True
    )
    made.replace(library)
    return library


if __name__ == "__main__":
    sys.stderr.write(f"{compile_kernel(Path(__file__).parent, *sys.argv[1:])}\n")
