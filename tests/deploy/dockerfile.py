"""What a Dockerfile says, by stage: enough of its language for ours, and an error for what it does not know."""

import re
from dataclasses import dataclass
from pathlib import Path

_KNOWN = {
    "FROM",
    "ARG",
    "RUN",
    "COPY",
    "ENV",
    "WORKDIR",
    "VOLUME",
    "USER",
    "ENTRYPOINT",
    "CMD",
    "EXPOSE",
    "HEALTHCHECK",
}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; its text has no line ends."""

    word: str
    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its name, what it is made from, its own instructions in order."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def texts(self, word: str) -> list[str]:
        """The texts of all instructions of one word."""
        return [one.text for one in self.instructions if one.word == word]


def stages(path: Path) -> dict[str, Stage]:
    """The stages by name, in order. Raises ValueError for an instruction that is not known here."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    found: dict[str, Stage] = {}
    for logical in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if not logical.strip():
            continue
        word, _, text = logical.strip().partition(" ")
        if word not in _KNOWN:
            raise ValueError(f"{word}: not an instruction that this parser knows")
        if word == "FROM":
            base, _, name = text.partition(" AS ")
            found[name] = Stage(name, base, ())
        elif found:
            name, last = next(reversed(found.items()))
            found[name] = Stage(name, last.base, (*last.instructions, Instruction(word, " ".join(text.split()))))
    return found


def lineage(all_stages: dict[str, Stage], name: str) -> list[Stage]:
    """The stage and those it is made from, the first first; without what it copies from others."""
    chain = [all_stages[name]]
    while chain[0].base in all_stages:
        chain.insert(0, all_stages[chain[0].base])
    return chain
