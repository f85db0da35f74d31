"""Commands that Redis is asked again and again, where only their keys differ: all else is written for the wire once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Word = str | bytes | int | float
Command = tuple[Word, ...]


class Form:
    """Some commands without their keys."""

    def __init__(self, *commands: tuple[Word | None, ...]) -> None:
        """None stands where a key is to go."""
        self.commands = commands
        self._wire = b"".join([_wire(command) for command in commands])

    def __call__(self, *keys: str) -> "Filled":
        """A key for each place, in order."""
        return Filled(self, keys)

    def packed(self, keys: Sequence[str]) -> bytes:
        """As Redis reads them. Raises TypeError where keys and places differ in number."""
        words: list[int | bytes] = []
        for key in keys:
            word = key.encode()
            words += (len(word), word)
        return self._wire % tuple(words)


@dataclass(slots=True, eq=False)
class Filled:
    """Some commands, whole."""

    form: Form
    keys: Sequence[str]

    def __len__(self) -> int:
        return len(self.form.commands)

    def __iter__(self) -> Iterator[Command]:
        keys = iter(self.keys)
        for command in self.form.commands:
            yield tuple([next(keys) if word is None else word for word in command])

    def packed(self) -> bytes:
        """As Redis reads them."""
        return self.form.packed(self.keys)


Commands = Sequence[Command] | Filled


def _wire(command: tuple[Word | None, ...]) -> bytes:
    """With `%d` and `%b` for a key's length and the key."""
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        if word is None:
            parts.append(b"$%d\r\n%b\r\n")
        else:
            text = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(text), text.replace(b"%", b"%%")))
    return b"".join(parts)
