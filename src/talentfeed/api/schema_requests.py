"""What /docs shows of requests, with examples. Documentation only: requests are read by bodies.py and activities.py.

Contract tests hold the two together.
"""

from typing import Any

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
from talentfeed.contracts import FEED_ID

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
FEED_PARAMETERS = {
    "parameters": [
        *ADMIN_PARAMETER["parameters"],
        {
            "name": "feed_id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^{FEED_ID}$"},
            "description": "`feed_id` of a feed's answer",
        },
    ]
}
