"""One HTTP call to a service that may die, freeze or refuse meanwhile."""

import asyncio
import json
from typing import Any

NO_ANSWER = 0


async def call(port: int, path: str, body: Any, *, within: float = 4.0, headers: str = "") -> int:
    """→ the status, or NO_ANSWER: then nobody knows what was done."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: loopback\r\nConnection: close\r\n{headers}"
    head += f"Content-Length: {len(content)}\r\n\r\n"
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(head.encode() + content)
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return NO_ANSWER
    if not answer.endswith(b"}"):  # it died in the middle of its answer
        return NO_ANSWER
    return int(answer.split(b" ", 2)[1])
