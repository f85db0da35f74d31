"""Visitors of a feed: they open it, scroll, and tell what they like. Everything they were answered is accounted for."""

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

EVENTS = ("video_view", "like", "save", "rating", "share", "skip")


@dataclass
class Account:
    """What was asked and what was answered."""

    times: list[float] = field(default_factory=list)  # seconds of each feed, in the order they ended
    served: Counter[str] = field(default_factory=Counter)  # feed id -> records it makes: one and one an item
    acknowledged: set[str] = field(default_factory=set)  # ids of events that were answered with 202
    unsure: set[str] = field(default_factory=set)  # sent, and not acknowledged
    errors: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    scrolls: int = 0


class Connection:
    """HTTP/1.1 with keep-alive, one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: Any, *, headers: str = "", within: float = 60.0) -> tuple[int, Any]:
        """→ status and answer. Raises OSError, TimeoutError."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: loopback\r\n{headers}Content-Length: {len(content)}\r\n\r\n"
        try:
            async with asyncio.timeout(within):
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._streams
                writer.write(head.encode() + content)
                top = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in top[1:] if line)
                answer = json.loads(await reader.readexactly(int(fields["content-length"])))
        except (asyncio.IncompleteReadError, OSError, TimeoutError) as error:
            self.close()
            raise OSError(f"{type(error).__name__}: {error}") from error
        if fields.get("connection") == "close":
            self.close()
        return int(top[0].split(" ")[1]), answer

    def close(self) -> None:
        """The next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def visit(port: int, account: Account, *, users: int, pause: float, until: float, seed: int) -> None:
    """One visitor after another on one connection, until `until` (monotonic), with pauses of `pause` s on average."""
    draw = random.Random(seed)
    connection = Connection(port)
    while time.monotonic() < until:
        user, endpoint = draw.randrange(1, users + 1), draw.choice(("total", "total", "discover", "flow"))
        session: dict[str, Any] = {}
        for page in range(draw.randrange(1, 6)):
            feed = await _ask(connection, account, f"/api/search/{endpoint}", {"user_id": user, **session}, 200)
            if feed is None:
                break
            account.scrolls += page > 0
            account.served[feed["feed_id"]] += 1 + len(feed["items"])
            session = {"session_id": feed["session_id"]}
            if feed["items"] and draw.random() < 0.5:
                await _report(connection, account, user, draw.choices(feed["items"], k=draw.randrange(1, 4)), draw)
            await asyncio.sleep(draw.expovariate(1 / pause))
            if time.monotonic() >= until:
                break
    connection.close()


async def _report(
    connection: Connection, account: Account, user: int, items: list[dict[str, Any]], draw: random.Random
) -> None:
    events = [
        {
            "event_type": draw.choice(EVENTS),
            "event_id": str(uuid.UUID(int=draw.getrandbits(128))),
            "user_id": user,
            "video_id": item["id"],
            "item_type": item["type"],
        }
        for item in items
    ]
    for event in events:
        if event["event_type"] == "rating":
            event["value"] = draw.randrange(1, 6)
    ids = {event["event_id"] for event in events}
    account.unsure |= ids
    if await _ask(connection, account, "/api/activities", {"activities": events}, 202) is not None:
        account.acknowledged |= ids
        account.unsure -= ids


async def _ask(connection: Connection, account: Account, path: str, body: Any, wanted: int) -> Any:
    """→ the answer's body; None for an error, which is counted."""
    account.requests += 1
    begun = time.perf_counter()
    try:
        status, answer = await connection.post(path, body)
    except OSError as error:
        account.errors[str(error)] += 1
        return None
    if status != wanted:
        account.errors[f"{path}: {status} {json.dumps(answer)[:200]}"] += 1
        return None
    if wanted == 200:
        account.times.append(time.perf_counter() - begun)
    return answer["body"]
