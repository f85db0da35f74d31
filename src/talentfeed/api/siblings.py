"""Metrics of all workers of one server: whoever is asked asks the others, over sockets in a folder of theirs."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

PATIENCE = 1.0  # seconds; who does not answer within them is left out, as a worker that is being replaced


class Siblings:
    """One worker among those that share a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._server: asyncio.Server | None = None
        self._own: Callable[[], bytes] = bytes

    async def start(self, own: Callable[[], bytes]) -> None:
        """Answer the others with what `own` returns: the exposition format."""
        self._own = own
        file = self._folder / self._name
        file.unlink(missing_ok=True)  # left by a worker that crashed
        self._server = await asyncio.start_unix_server(self._answer, file)

    async def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
            (self._folder / self._name).unlink(missing_ok=True)

    async def texts(self) -> dict[str, bytes]:
        """What each worker counts, by its name; this one's own included."""
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError):  # by a newer program, which this worker waits to be told of
            names = sorted(entry.name for entry in self._folder.iterdir() if entry.name != self._name)
        found = await asyncio.gather(*map(self._ask, names))
        return {
            self._name: self._own(),
            **{name: text for name, text in zip(names, found, strict=True) if text is not None},
        }

    async def _ask(self, name: str) -> bytes | None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_unix_connection(self._folder / name)
                try:
                    return await reader.read(-1) or None
                finally:
                    writer.close()
        return None

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(self._own())
            await writer.drain()
        writer.close()


def merged(texts: Mapping[str, bytes]) -> bytes:
    """One exposition out of several: each family once, its samples labelled with the worker they are of."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for worker, text in sorted(texts.items()):
        head, own = heads.setdefault("", []), samples.setdefault("", [])
        of = f'{{worker="{worker}"'
        for line in text.decode().splitlines():
            if line.startswith("#"):
                if line.startswith("# HELP "):
                    family = line.split(" ", 3)[2]
                    head, own = heads.setdefault(family, []), samples.setdefault(family, [])
                if line not in head:
                    head.append(line)
                continue
            name, _, value = line.rpartition(" ")
            if name.endswith("}"):
                name, _, labels = name.partition("{")
                own.append(f"{name}{of},{labels} {value}")
            elif name:
                own.append(f"{name}{of}}} {value}")
    lines = [line for family, head in heads.items() for line in (*head, *samples[family])]
    return "".join(f"{line}\n" for line in lines).encode()
