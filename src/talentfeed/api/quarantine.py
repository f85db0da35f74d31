"""What the database refused and was set aside; for the operator's commands where the store is in this process."""

import re
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from talentfeed.api.bodies import read_object
from talentfeed.api.fields import Fields
from talentfeed.api.operations import require_admin
from talentfeed.api.problems import Problem, RefusedError
from talentfeed.api.service import Service

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

MOST_LISTED = 1_000
MOST_IDS = 1_000
LIMIT_FORM = f"a whole number from 1 to {MOST_LISTED}"
IDS_FORM = f"a list of 1 to {MOST_IDS} ids as the listing tells them, each an activity's or a batch's; or \"all\""
_ID = re.compile(r"[A-Za-z0-9._-]{1,191}")


def list_endpoint(service: Service) -> Handler:
    """How many are set aside, and the oldest of them."""

    async def quarantined(request: Request) -> Response:
        require_admin(request, service.settings)
        problems: list[Problem] = []
        limit = Fields(request.query_params, problems).whole_number(
            ("limit",), least=1, most=MOST_LISTED, accepted=LIMIT_FORM
        )
        if problems:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, problems)
        return _answer(await service.quarantine.listing(limit or 100))

    return quarantined


def requeue_endpoint(service: Service) -> Handler:
    """They wait again to be flushed."""
    return _acting(service, service.quarantine.requeue, "requeue")


def discard_endpoint(service: Service) -> Handler:
    """They are thrown away for good."""
    return _acting(service, service.quarantine.discard, "discard")


def _acting(service: Service, act: Callable[[Any], Coroutine[Any, Any, Any]], name: str) -> Handler:
    async def change(request: Request) -> Response:
        require_admin(request, service.settings)
        ids = (await read_object(request)).get("ids")
        if ids != "all" and not _are_ids(ids):
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, [Problem("ids", ids, IDS_FORM)])
        return _answer(await act(None if ids == "all" else ids))

    change.__name__ = name
    return change


def _are_ids(ids: Any) -> bool:
    return isinstance(ids, list) and 1 <= len(ids) <= MOST_IDS and all(type(i) is str and _ID.fullmatch(i) for i in ids)


def _answer(body: Any) -> Response:
    return Response(msgspec.json.encode({"statusCode": 200, "body": body}), media_type="application/json")
