"""What /docs shows: bodies as schemas with examples. Documentation only; requests are read by bodies.py, not by these.

Contract tests hold the two together.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from talentfeed.api.activities import (
    EVENT_TYPES,
    ITEM_TYPES,
    MAX_EVENT_ID,
    MAX_EVENTS,
    MAX_POSITION,
    MAX_WATCH_RATIO,
)
from talentfeed.api.bodies import DEFAULT_SIZE, MAX_SIZE
from talentfeed.api.fields import MAX_ID, MAX_IDS

PoolCode = Literal["VMP", "AU", "NU", "FW", "EXPLORE"]
RuleName = Literal["new_content", "skill_diversity", "already_seen", "creator_window"]


class _Item(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: int
    user_id: int | None = Field(description="Who published it")
    name: str
    description: str
    image: str
    interest_areas: list[str]
    pool: PoolCode = Field(description="The pool it was drawn from")


class Resume(_Item):
    """A talent video."""

    type: Literal["resume"]
    slug: str
    user_name: str
    user_slug: str
    video: str
    avatar: str
    main_objective: str
    type_audience: str
    type_audiences: list[str]
    role_objectives: list[str]
    connected: str


class Challenge(_Item):
    """A flow."""

    type: Literal["challenge"]
    slug: str
    video_url: str
    user_name: str
    user_slug: str
    user_avatar: str
    talent_type: str
    type_objectives: list[str]
    top: bool
    created_at: str | None = None
    updated_at: str | None = None
    status_at: str | None = None


class Fallback(BaseModel):
    """A slot that another pool than the planned one filled."""

    slot: int = Field(description="Place in `items`, from 0")
    planned: PoolCode
    pool: PoolCode


class _Feed(BaseModel):
    feed_id: str = Field(pattern="^[0-9a-f]{32}$")
    session_id: str = Field(description="Send it with the next page")
    gave_way: list[RuleName] = Field(description="Rules that the catalogue made impossible")
    fallbacks: list[Fallback]
    snapshot: str = Field(description="Version of the catalogue")
    degraded: bool | None = Field(None, description="true where the session could not be read")


class TotalBody(_Feed):
    """Videos and flows."""

    mix_ids: list[str]
    items: list[Resume | Challenge]


class DiscoverBody(_Feed):
    """Videos only."""

    resume_ids: list[str]
    items: list[Resume]


class FlowBody(_Feed):
    """Flows only."""

    challenge_ids: list[str]
    items: list[Challenge]


class TotalAnswer(BaseModel):
    """A feed of 24 items."""

    statusCode: Literal[200]  # noqa: N815 - the platform's name
    body: TotalBody


class DiscoverAnswer(BaseModel):
    """A feed of videos."""

    statusCode: Literal[200]  # noqa: N815
    body: DiscoverBody


class FlowAnswer(BaseModel):
    """A feed of flows."""

    statusCode: Literal[200]  # noqa: N815
    body: FlowBody


class Accepted(BaseModel):
    """How many events are safely stored."""

    accepted: int


class AcceptedAnswer(BaseModel):
    """All events are safely stored."""

    statusCode: Literal[202]  # noqa: N815
    body: Accepted


class Reloaded(BaseModel):
    """What a reload did."""

    version: str
    changed: bool
    seconds: float
    counts: dict[str, int]
    skipped: dict[str, int]


class ReloadAnswer(BaseModel):
    """A reload that ended well."""

    statusCode: Literal[200]  # noqa: N815
    body: Reloaded


class FlushAnswer(BaseModel):
    """A flush that ended."""

    statusCode: Literal[200]  # noqa: N815
    body: dict[str, Any]


class ErrorDetail(BaseModel):
    """One wrong value."""

    field: str
    value: Any
    accepted: str


class ErrorAnswer(BaseModel):
    """What is wrong, and what is accepted."""

    statusCode: int  # noqa: N815
    errors: list[ErrorDetail]


class RootAnswer(BaseModel):
    """Who answers here."""

    name: str
    status: Literal["ok", "starting"]
    version: str


class HealthAnswer(BaseModel):
    """What works and what does not."""

    model_config = ConfigDict(extra="allow")
    status: str


# ---------------------------------------------------------------- requests

_ID: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": MAX_ID},
        {"type": "string", "pattern": "^[0-9]{1,18}$"},
    ]
}
_IDS: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "items": _ID, "maxItems": MAX_IDS},
        {"type": "string", "pattern": "^([0-9]{1,18}(,[0-9]{1,18})*)?$"},
        {"type": "null"},
    ],
    "description": f"Items not to serve (at most {MAX_IDS}): a list of numbers or of texts of digits, or one "
    "comma-separated text. Send the newest shown last.",
}
_KEY: dict[str, Any] = {"type": ["string", "null"], "pattern": "^[A-Za-z0-9._:-]{1,128}$"}
_SIZE: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": MAX_SIZE},
        {"type": "string", "pattern": "^([1-9][0-9]?|100)$"},
        {"type": "null"},
    ],
    "default": DEFAULT_SIZE,
}
_SESSION = {**_KEY, "description": "From the page before; without one a session begins"}


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


_FEED = {
    "user_id": {**_ID, "description": "Who asks"},
    "excluded_ids": _IDS,
    "session_id": _SESSION,
}
_FEED_ALIASES = {"SELF_ID": "user_id", "LAST_IDS": "excluded_ids", "videos_excluidos": "excluded_ids"}


def _feed_schema(*, sized: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {**_FEED, "size": _SIZE} if sized else dict(_FEED)
    aliases = {**_FEED_ALIASES, "MAX_SIZE": "size"} if sized else _FEED_ALIASES
    old = {**fields, **{alias: {**fields[name], "description": f"Alias of {name}"} for alias, name in aliases.items()}}
    for name in aliases.values():
        old.pop(name, None)
    return {
        "anyOf": [
            _object(fields, required=["user_id"], title="Names"),
            _object(old, required=["SELF_ID"], title="Aliases"),
        ]
    }


_VALUE = {"type": "number", "minimum": 1, "maximum": 5, "description": "Of a rating"}
_EVENT_FIELDS: dict[str, Any] = {
    "user_id": _ID,
    "video_id": {**_ID, "description": "The item's id, of either type"},
    "item_type": {"type": "string", "enum": list(ITEM_TYPES), "default": "resume"},
    "event_id": {
        "type": "string",
        "pattern": f"^[A-Za-z0-9._:-]{{1,{MAX_EVENT_ID}}}$",
        "description": "Unique for its user: a repeat is acknowledged and stored once",
    },
    "value": _VALUE,
    "watch_ratio": {"type": "number", "minimum": 0, "maximum": MAX_WATCH_RATIO},
    "feed_id": _KEY,
    "session_id": _KEY,
    "position": {"type": "integer", "minimum": 0, "maximum": MAX_POSITION},
    "timestamp": {
        "type": "string",
        "format": "date-time",
        "description": "From 2000 to 5 minutes from now; UTC where it names no offset; without one: now",
    },
}
_EVENT = {
    "anyOf": [
        _object(
            {"event_type": {"type": "string", "enum": sorted({*EVENT_TYPES} - {"rating"})}, **_EVENT_FIELDS},
            required=["event_type", "user_id", "video_id"],
        ),
        _object(
            {"event_type": {"type": "string", "const": "rating"}, **_EVENT_FIELDS},
            required=["event_type", "user_id", "video_id", "value"],
        ),
    ]
}
_REPORT = {
    "anyOf": [
        {**_EVENT, "title": "One event"},
        _object(
            {"activities": {"type": "array", "items": _EVENT, "minItems": 1, "maxItems": MAX_EVENTS}},
            required=["activities"],
            title="Several events",
        ),
    ]
}

_PAGE_EXAMPLES = {
    "first": {"summary": "A first page", "value": {"user_id": 7}},
    "next": {
        "summary": "The next page of a session",
        "value": {"user_id": 7, "session_id": "1790000000000", "excluded_ids": [129279, 131002]},
    },
    "old": {"summary": "The former names", "value": {"SELF_ID": "7", "LAST_IDS": "129279,131002"}},
}
_SIZED_EXAMPLES = {**_PAGE_EXAMPLES, "sized": {"summary": "Ten items", "value": {"user_id": 7, "size": 10}}}
_REPORT_EXAMPLES = {
    "one": {
        "summary": "One event",
        "value": {"event_type": "like", "user_id": 7, "video_id": 129279, "event_id": "7-like-129279"},
    },
    "several": {
        "summary": "Several",
        "value": {
            "activities": [
                {"event_type": "video_view", "user_id": 7, "video_id": 129279, "watch_ratio": 0.8},
                {"event_type": "rating", "user_id": 7, "video_id": 129279, "value": 4},
            ]
        },
    },
}


def _body(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "examples": examples}},
        }
    }


FEED_REQUEST = {
    "total": _body(_feed_schema(sized=False), _PAGE_EXAMPLES),
    "discover": _body(_feed_schema(sized=True), _SIZED_EXAMPLES),
    "flow": _body(_feed_schema(sized=True), _SIZED_EXAMPLES),
}
FEED_ANSWER: dict[str, type[BaseModel]] = {"total": TotalAnswer, "discover": DiscoverAnswer, "flow": FlowAnswer}
REPORT_REQUEST = _body(_REPORT, _REPORT_EXAMPLES)
ADMIN_PARAMETER = {
    "parameters": [
        {
            "name": "X-Admin-Key",
            "in": "header",
            "required": True,
            "schema": {"type": "string"},
            "description": "One of the keys of ADMIN_API_KEY",
        }
    ]
}

_ERRORS = {
    400: "The body is not JSON",
    401: "X-Admin-Key is missing",
    403: "X-Admin-Key is wrong, or none is configured",
    413: "The body is over 1 MiB",
    422: "A value is wrong; every wrong field is told",
    503: "Nothing to serve yet, or a store does not answer; come again after Retry-After seconds",
}


def responses(status: int, model: type[BaseModel], *errors: int) -> dict[int | str, dict[str, Any]]:
    """The documented answers of a call."""
    listed: dict[int | str, dict[str, Any]] = {status: {"model": model}}
    for error in (*errors, 413):
        listed[error] = {"model": ErrorAnswer, "description": _ERRORS[error]}
    return listed
