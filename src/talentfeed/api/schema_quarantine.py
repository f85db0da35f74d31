"""What /docs shows of the calls on what was set aside. Documentation only."""

from typing import Any, Literal

from pydantic import BaseModel

from talentfeed.api.quarantine import IDS_FORM, LIMIT_FORM, MOST_IDS, MOST_LISTED
from talentfeed.api.schema_requests import ADMIN_PARAMETER


class Entry(BaseModel):
    """An activity that was set aside."""

    batch_id: str
    reason: str
    at: float
    payload: str


class Listed(BaseModel):
    """How many there are, and the oldest."""

    total: int
    entries: list[Entry]


class ListedAnswer(BaseModel):
    """What is set aside."""

    statusCode: Literal[200]  # noqa: N815 - the platform's name
    body: Listed


class Changed(BaseModel):
    """What became of those that were named."""

    done: int
    kept: dict[str, str]
    unknown: list[str]


class ChangedAnswer(BaseModel):
    """A change that was made."""

    statusCode: Literal[200]  # noqa: N815
    body: Changed


_LIMIT = {
    "name": "limit",
    "in": "query",
    "required": False,
    "schema": {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": 100},
    "description": LIMIT_FORM,
}
_IDS = {"type": "array", "minItems": 1, "maxItems": MOST_IDS, "items": {"type": "string"}}
_BODY = {
    "type": "object",
    "required": ["ids"],
    "properties": {"ids": {"description": IDS_FORM, "oneOf": [{"const": "all"}, _IDS]}},
}

QUARANTINED: tuple[type[BaseModel], dict[str, Any]] = (
    ListedAnswer,
    {"parameters": [*ADMIN_PARAMETER["parameters"], _LIMIT]},
)
CHANGED: tuple[type[BaseModel], dict[str, Any]] = (
    ChangedAnswer,
    {**ADMIN_PARAMETER, "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}},
)
