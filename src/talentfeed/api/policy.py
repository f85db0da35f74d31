"""The policy that is learned; for the operator's commands where the store is in this process."""

import re
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from talentfeed.api.bodies import read_object
from talentfeed.api.fields import Fields
from talentfeed.api.operations import require_admin
from talentfeed.api.problems import Problem, RefusedError
from talentfeed.api.service import Service
from talentfeed.errors import LogError, PolicyError

if TYPE_CHECKING:
    from talentfeed.learning.policies import Policies

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
VERSION_FORM = "a version as `talentfeed policy show` tells it"
MOST_FEEDS, DEFAULT_FEEDS, MOST_POLICIES = 20_000, 1_000, 8
FEEDS_FORM = f"a whole number from 1 to {MOST_FEEDS}"
POLICIES_FORM = f"a list of 1 to {MOST_POLICIES} policies as `talentfeed compare --help` tells"
_VERSION = re.compile(r"[a-z0-9-]{1,64}")


def show_endpoint(service: Service) -> Handler:
    """Where learning stands."""

    async def policy(request: Request) -> Response:
        require_admin(request, service.settings)
        return await _answer(service, "policy", lambda policies: policies.report())

    return policy


def export_endpoint(service: Service) -> Handler:
    """A version, to be kept elsewhere."""

    async def export(request: Request) -> Response:
        require_admin(request, service.settings)
        version = _version(request.query_params.get("version"))
        return await _answer(service, "version", lambda policies: policies.export(version))

    return export


def reset_endpoint(service: Service) -> Handler:
    """Start from nothing."""

    async def reset(request: Request) -> Response:
        require_admin(request, service.settings)
        return await _answer(service, "policy", lambda policies: _made(policies.reset()))

    return reset


def rollback_endpoint(service: Service) -> Handler:
    """Go on from an earlier version."""

    async def rollback(request: Request) -> Response:
        require_admin(request, service.settings)
        version = _version((await read_object(request)).get("version"))
        return await _answer(service, "version", lambda policies: _made(policies.rollback(version)))

    return rollback


def import_endpoint(service: Service) -> Handler:
    """Go on from what was exported."""

    async def import_policy(request: Request) -> Response:
        require_admin(request, service.settings)
        body = await read_object(request)
        return await _answer(service, "state", lambda policies: _made(policies.take(body)))

    return import_policy


def compare_endpoint(service: Service) -> Handler:
    """What if: policies judged on what was served."""

    async def compare(request: Request) -> Response:
        require_admin(request, service.settings)
        body = await read_object(request)
        problems: list[Problem] = []
        fields = Fields(body, problems)
        feeds = fields.whole_number(("feeds",), least=1, most=MOST_FEEDS, accepted=FEEDS_FORM)
        seed = fields.whole_number(("seed",))
        written = body.get("policies")
        if not (isinstance(written, list) and 1 <= len(written) <= MOST_POLICIES and all(map(_is_text, written))):
            problems.append(Problem("policies", written, POLICIES_FORM))
        if problems:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, problems)
        assert isinstance(written, list)  # noqa: S101 - just looked at
        try:
            found = await service.learning.compare(written, feeds=feeds or DEFAULT_FEEDS, seed=seed or 0)
        except LogError as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, [Problem("policies", written, str(error))]) from error
        return _body(found)

    return compare


def _is_text(value: Any) -> bool:
    return type(value) is str and len(value) <= 1_000


def _version(value: Any) -> str | None:
    if value is None:
        return None
    if type(value) is str and _VERSION.fullmatch(value):
        return value
    raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, [Problem("version", value, VERSION_FORM)])


async def _made(version: Awaitable[str]) -> dict[str, str]:
    return {"version": await version}


async def _answer(service: Service, field: str, work: "Callable[[Policies], Awaitable[Any]]") -> Response:
    try:
        body = await service.learning.ask(work)
    except PolicyError as error:
        problem = Problem(field, None, str(error))
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, [problem]) from error
    return _body(body)


def _body(body: Any) -> Response:
    return Response(msgspec.json.encode({"statusCode": 200, "body": body}), media_type="application/json")
