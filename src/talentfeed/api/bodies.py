"""What comes in: JSON bodies, every alias and form of an id, all wrong fields told at once.

Written by hand over msgspec because this is every request's path and the forms are looser than a schema says
(ids as numbers, as texts of digits, as one comma-separated text).
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request

from talentfeed.api.fields import Fields
from talentfeed.api.plain import read_body
from talentfeed.api.problems import Problem, RefusedError
from talentfeed.contracts import Ints

MAX_BODY_BYTES = 1_048_576
DEFAULT_SIZE = 24
MAX_SIZE = 100

USER_ID = ("user_id", "SELF_ID")
EXCLUDED_IDS = ("excluded_ids", "LAST_IDS", "videos_excluidos")
SIZE = ("size", "MAX_SIZE")
SIZE_FORM = f"a whole number from 1 to {MAX_SIZE}, or a text of its digits"

_BOM = b"\xef\xbb\xbf"
_decode = msgspec.json.Decoder().decode


class FeedQuery(msgspec.Struct, frozen=True, gc=False):
    """A feed request, read."""

    user_id: int
    excluded_ids: Ints  # as they came, repeats included; the newest shown are the last
    session_id: str | None
    size: int


class _OutOfRange(str):
    """The text of a JSON number that no field can hold."""

    __slots__ = ()


async def read_object(request: Request) -> dict[str, Any]:
    """The request's body as a JSON object, whatever its Content-Type says.

    Raises RefusedError: 400 where it is not JSON, 422 where it is no object (413 comes from the body limit).
    """
    body = parse(await read_body(request))
    if not isinstance(body, dict):
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, [Problem("body", body, "a JSON object, such as {…}")])
    return body


def parse(raw: bytes) -> Any:
    """JSON text → Python. A byte order mark is skipped; of a repeated key the last counts.

    Raises RefusedError 400 where it is not JSON in UTF-8 or is nested deeper than a body of ours can be.
    """
    raw = raw.removeprefix(_BOM)
    try:
        return _decode(raw)
    except msgspec.ValidationError:  # JSON, but a number beyond what msgspec holds: the field's own check will say so
        return _parse_large_numbers(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(raw, str(error)) from error
    except RecursionError as error:
        raise _not_json(raw, "nested too deeply") from error


def _parse_large_numbers(raw: bytes) -> Any:
    def whole(text: str) -> Any:
        return int(text) if len(text) <= 20 else _OutOfRange(text)

    def number(text: str) -> Any:
        value = float(text)
        return value if np.isfinite(value) else _OutOfRange(text)

    def constant(text: str) -> Any:
        raise ValueError(f"{text} is not JSON")

    try:
        found = json.loads(raw, parse_int=whole, parse_float=number, parse_constant=constant)
        json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate is no text, as msgspec says of it
    except (ValueError, RecursionError) as error:
        raise _not_json(raw, str(error)) from error
    return found


def _not_json(raw: bytes, reason: str) -> RefusedError:
    reason = "the body is empty" if not raw.strip() else reason
    return RefusedError(
        HTTPStatus.BAD_REQUEST,
        [Problem("body", raw[:400].decode("utf-8", errors="replace"), f"JSON in UTF-8 ({reason})")],
    )


def feed_query(body: Mapping[str, Any], *, sized: bool) -> FeedQuery:
    """A feed request's fields. `sized`: this feed has a `size`; the others pass over one.

    Raises RefusedError 422 with every wrong field.
    """
    fields = Fields(body, [])
    user_id = fields.whole_number(USER_ID, required=True)
    excluded = fields.id_lists(EXCLUDED_IDS)
    session_id = fields.key("session_id")
    size = fields.whole_number(SIZE, least=1, most=MAX_SIZE, accepted=SIZE_FORM) if sized else None
    if fields.problems or user_id is None:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, fields.problems)
    return FeedQuery(user_id, excluded, session_id, DEFAULT_SIZE if size is None else size)
