"""OpenAPI's document: made when it is first asked for, by an application that has the calls only to describe them.

Its models take longer to import than the door does; who serves feeds does without them.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI

from talentfeed.api import schema_answers as answers
from talentfeed.api import schema_policy as policy
from talentfeed.api import schema_quarantine as quarantine
from talentfeed.api import schema_requests as requests
from talentfeed.api.calls import Call

_FEED_SUMMARIES = {
    "total": "A page of 24: videos and flows",
    "discover": "A page of videos",
    "flow": "A page of flows",
}
_Told = dict[str, Any]


def document(calls: Sequence[Call], *, title: str, version: str, description: str) -> dict[str, Any]:
    """The document of these calls. Raises KeyError for a call that nothing is told of."""
    app = FastAPI(title=title, version=version, description=description)
    told = _all_told()
    for call in calls:
        app.add_api_route(call.path, call.handler, methods=[call.method], operation_id=call.name, **told[call.name])
    return app.openapi()


def _all_told() -> dict[str, _Told]:
    feeds: dict[str, _Told] = {
        name: {
            "tags": ["feeds"],
            "summary": summary,
            "responses": answers.responses(200, answers.FEED_ANSWER[name], 400, 422, 503),
            "openapi_extra": requests.FEED_REQUEST[name],
        }
        for name, summary in _FEED_SUMMARIES.items()
    }
    activities: _Told = {
        "tags": ["activities"],
        "summary": "What the user did: one event, or up to 500",
        "status_code": 202,
        "responses": answers.responses(202, answers.AcceptedAnswer, 400, 422, 503),
        "openapi_extra": requests.REPORT_REQUEST,
    }
    return {**feeds, "activities": activities, **_operations()}


def _operations() -> dict[str, _Told]:
    def told(summary: str, responses: dict[int | str, dict[str, Any]], extra: _Told | None = None) -> _Told:
        return {"tags": ["operations"], "summary": summary, "responses": responses, "openapi_extra": extra}

    def plain(summary: str, model: type) -> _Told:
        return told(summary, answers.responses(200, model, 401, 403, 503), requests.ADMIN_PARAMETER)

    def asked(summary: str, model: type, extra: _Told) -> _Told:
        return told(summary, answers.responses(200, model, 400, 401, 403, 422, 503), extra)

    def by_feed(summary: str, model: type) -> _Told:
        return told(summary, answers.responses(200, model, 401, 403, 404, 410, 422, 503), requests.FEED_PARAMETERS)

    return {
        "reload": plain("Build and swap the snapshot", answers.ReloadAnswer),
        "flush": plain("Write what waits to activity_log", answers.FlushAnswer),
        "quarantined": asked("What the database refused", *quarantine.QUARANTINED),
        "requeue": asked("Have it wait to be flushed again", *quarantine.CHANGED),
        "discard": asked("Throw it away for good", *quarantine.CHANGED),
        "policy_show": asked("Where learning stands", *policy.SHOWN),
        "policy_export": asked("A version of the policy", *policy.EXPORTED),
        "policy_import": asked("Go on from an exported one", *policy.IMPORT),
        "policy_reset": asked("Start learning anew", *policy.RESET),
        "policy_rollback": asked("Go on from an earlier one", *policy.ROLLBACK),
        "policy_compare": asked("What if", *policy.COMPARE),
        "explain": by_feed("Why each item of a feed is there", answers.ExplainAnswer),
        "replay": by_feed("A feed ranked once more", answers.ReplayAnswer),
        "root": told("Name, status, version", {200: {"model": answers.RootAnswer}}),
        "health_live": told("Does the process answer?", {200: {"model": answers.HealthAnswer}}),
        "health_ready": told(
            "Can feeds be served?",
            {
                200: {"model": answers.HealthAnswer},
                403: {"model": answers.ErrorAnswer, "description": "X-Admin-Key was shown, and is wrong"},
                503: {"model": answers.HealthAnswer, "description": "Not yet"},
            },
        ),
        "metrics": told("Metrics for Prometheus", {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}),
    }
