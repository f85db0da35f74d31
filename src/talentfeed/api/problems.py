"""The standard error body, and the one exception that carries it out of a handler.

`{"statusCode": n, "errors": [{"field", "value", "accepted"}]}`: which field, what came (shortened), what is accepted.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from talentfeed.errors import StoreUnavailableError, TalentFeedError

log = logging.getLogger(__name__)

SHOWN_CHARACTERS = 100  # of a wrong value
SHOWN_PROBLEMS = 100  # of one request
RETRY_AFTER_SECONDS = 5  # while there is nothing to serve


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong value: where, what, and what is accepted there."""

    field: str
    value: Any
    accepted: str


class RefusedError(Exception):
    """This request is answered with an error status. Not an error of the service."""

    def __init__(self, status: int, problems: Sequence[Problem], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {'; '.join(f'{p.field}: {p.accepted}' for p in problems)}")
        self.status = status
        self.problems = problems
        self.headers = headers


def shown(value: Any) -> Any:
    """A value as an error body shows it: JSON, at most 100 characters of it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str):
        text = value
    elif isinstance(value, int | float):
        text = str(value)  # a JSON body's integers have at most 20 digits here; see bodies.py
    else:
        text = str(value) if not isinstance(value, list | dict) else _beginning(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _beginning(value: Any) -> str:
    """JSON text of a container's beginning: never the whole of a large one."""
    small = value[:SHOWN_CHARACTERS] if isinstance(value, list) else dict(list(value.items())[:SHOWN_CHARACTERS])
    try:
        return msgspec.json.encode(small, enc_hook=str).decode()
    except RecursionError:
        return "a deeply nested " + ("list" if isinstance(value, list) else "object")


def answer(status: int, problems: Sequence[Problem], headers: Mapping[str, str] | None = None) -> Response:
    """The standard error body as a response."""
    body = {
        "statusCode": status,
        "errors": [
            {"field": p.field, "value": shown(p.value), "accepted": p.accepted} for p in problems[:SHOWN_PROBLEMS]
        ],
    }
    return Response(
        msgspec.json.encode(body), status_code=status, headers=dict(headers or {}), media_type="application/json"
    )


def unavailable(field: str, accepted: str, *, wait: int = RETRY_AFTER_SECONDS) -> RefusedError:
    """503: come again after `wait` seconds."""
    return RefusedError(
        HTTPStatus.SERVICE_UNAVAILABLE, [Problem(field, "unavailable", accepted)], {"Retry-After": str(wait)}
    )


async def on_refused(_: Request, error: Exception) -> Response:
    """RefusedError → its own answer."""
    assert isinstance(error, RefusedError)  # noqa: S101 - registered for this class
    return answer(error.status, error.problems, error.headers)


async def on_unavailable(request: Request, error: Exception) -> Response:
    """An error of the service's own → 503. Its text names hosts and files: for our log, not for clients."""
    wait = error.retry_after if isinstance(error, StoreUnavailableError) else RETRY_AFTER_SECONDS
    log.warning("Request %s answered 503: %s", request.state.request_id, error)
    again = f"the same request again after {wait} s"
    if request.url.path.endswith("/activities"):  # an answer that was lost: the store may have it
        again += ". It may have been stored: with the same event_id an event is stored once, with another it is another"
    refused = unavailable("service", again, wait=wait)
    return answer(refused.status, refused.problems, refused.headers)


async def on_http(request: Request, error: Exception) -> Response:
    """The framework's own 404, 405 … → the standard body."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    path = request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        problem = Problem("path", path, "a path of this API; GET /docs lists them")
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        problem = Problem("method", request.method, f"{allowed} on {shown(path)}")
    else:
        problem = Problem("request", path, str(error.detail))
    return answer(error.status_code, [problem], error.headers)


HANDLERS: dict[int | type[Exception], Any] = {
    RefusedError: on_refused,
    TalentFeedError: on_unavailable,
    HTTPException: on_http,
}
