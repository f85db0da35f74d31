"""429 for a client that calls too often, where RATE_LIMIT_PER_MINUTE sets a limit. Absent where it does not."""

import ipaddress
import math
from http import HTTPStatus
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from talentfeed.api.middleware import header
from talentfeed.api.problems import Problem, answer


class Limiter(Protocol):
    """Counts calls, over all processes."""

    async def wait(self, client: str) -> float:
        """→ 0, or the seconds after which this client may call again. Never raises for a store's trouble."""
        ...


FREE = frozenset({"/", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json"})  # probes and pages


class ClientLimit:
    """Counts every call but those of FREE, and those too where they show an admin key, which may be a guess."""

    def __init__(self, app: ASGIApp, *, limiter: Limiter, named_in: str | None) -> None:
        """`named_in`: a header, in which a trusted proxy names the client, of a list the last; None: nobody does."""
        self.app = app
        self._limiter = limiter
        self._header = None if named_in is None else named_in.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["path"] in FREE and not header(scope, b"x-admin-key")):
            return await self.app(scope, receive, send)
        seconds = await self._limiter.wait(self._client(scope))
        if seconds <= 0.0:
            return await self.app(scope, receive, send)
        retry = math.ceil(seconds)
        problem = Problem("client", None, f"fewer calls: this client may call again in {retry} s")
        refusal = answer(HTTPStatus.TOO_MANY_REQUESTS, [problem], {"Retry-After": str(retry)})
        return await refusal(scope, receive, send)

    def _client(self, scope: Scope) -> str:
        if self._header is not None:
            named = [value for name, value in scope["headers"] if name == self._header]
            if named:
                return _network(str(named[-1].rpartition(b",")[2].strip().decode("latin-1")))
        return _network(scope["client"][0]) if scope.get("client") else ""


def _network(address: str) -> str:
    """One client has as many addresses of IPv6 as it likes, all of one network of 64 bits."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = found.ipv4_mapped
    return str(ipaddress.IPv6Network((found, 64), strict=False)) if mapped is None else str(mapped)
