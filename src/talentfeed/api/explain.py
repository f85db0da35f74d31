"""Why a feed is as it is, and the same feed again; for operators, by the feed's id."""

import re
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from talentfeed.api.operations import require_admin
from talentfeed.api.problems import Problem, RefusedError
from talentfeed.api.service import Service
from talentfeed.contracts import FEED_ID, FEED_ID_FORM
from talentfeed.ranking.record import VersionGoneError

_FEED_ID = re.compile(FEED_ID)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def explain_endpoint(service: Service) -> Handler:
    """Each place's item with its score in parts, what it was preferred to and why."""
    return _answering(service, service.replayer.explain, "explain")


def replay_endpoint(service: Service) -> Handler:
    """The feed ranked once more; for the operator's command where the store is in this process."""
    return _answering(service, service.replayer.report, "replay")


def _answering(service: Service, find: Callable[[str], Coroutine[Any, Any, Any]], name: str) -> Handler:
    async def answer(request: Request) -> Response:
        require_admin(request, service.settings)
        feed_id = request.path_params["feed_id"]
        if not _FEED_ID.fullmatch(feed_id):
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, [Problem("feed_id", feed_id, FEED_ID_FORM)])
        try:
            found = await find(feed_id)
        except VersionGoneError as error:
            raise RefusedError(HTTPStatus.GONE, [Problem("feed_id", feed_id, str(error))]) from error
        if found is None:
            kept = f"the id of a feed of the last {service.settings.session_ttl_seconds} s: this one is not known, or"
            raise RefusedError(HTTPStatus.NOT_FOUND, [Problem("feed_id", feed_id, f"{kept} not kept any more")])
        return Response(msgspec.json.encode({"statusCode": 200, "body": found}), media_type="application/json")

    answer.__name__ = name
    return answer
