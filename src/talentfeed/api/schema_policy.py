"""What /docs shows of the calls on the policy. Documentation only."""

from typing import Any, Literal

from pydantic import BaseModel

from talentfeed.api.policy import VERSION_FORM
from talentfeed.api.schema_requests import ADMIN_PARAMETER


class Bandit(BaseModel):
    """What one bandit has learned."""

    rewards: int
    weight: float
    theta: dict[str, float]
    uncertainty: float
    error_variance: float


class Shown(BaseModel):
    """Where learning stands."""

    learned: str
    served: str
    at: float | None
    forgot_at: float | None
    versions: list[str]
    bandits: dict[str, Bandit]
    items: int
    impressions: int
    reward: float
    tally: dict[str, float]


class ShownAnswer(BaseModel):
    """Where learning stands."""

    statusCode: Literal[200]  # noqa: N815 - the platform's name
    body: Shown


class Exported(BaseModel):
    """A version; `state` is what counts, the rest is for people."""

    form: int
    version: str
    preset: str
    impressions: int
    reward: float
    bandits: dict[str, Bandit]
    state: str


class ExportedAnswer(BaseModel):
    """A version."""

    statusCode: Literal[200]  # noqa: N815
    body: Exported


class Made(BaseModel):
    """The version that was made."""

    version: str


class MadeAnswer(BaseModel):
    """A change that was made."""

    statusCode: Literal[200]  # noqa: N815
    body: Made


_PATTERN = {"type": "string", "pattern": "^[a-z0-9-]{1,64}$", "description": VERSION_FORM}
_VERSION = {"name": "version", "in": "query", "required": False, "schema": _PATTERN, "description": VERSION_FORM}
_ROLLBACK = {"type": "object", "properties": {"version": _PATTERN}}
_IMPORT = {
    "type": "object",
    "required": ["form", "state"],
    "properties": {"form": {"type": "integer", "const": 1}, "state": {"type": "string"}},
}


def _with_body(schema: dict[str, Any]) -> dict[str, Any]:
    return {**ADMIN_PARAMETER, "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


SHOWN: tuple[type[BaseModel], dict[str, Any]] = (ShownAnswer, ADMIN_PARAMETER)
EXPORTED: tuple[type[BaseModel], dict[str, Any]] = (
    ExportedAnswer,
    {"parameters": [*ADMIN_PARAMETER["parameters"], _VERSION]},
)
RESET: tuple[type[BaseModel], dict[str, Any]] = (MadeAnswer, ADMIN_PARAMETER)
ROLLBACK: tuple[type[BaseModel], dict[str, Any]] = (MadeAnswer, _with_body(_ROLLBACK))
IMPORT: tuple[type[BaseModel], dict[str, Any]] = (MadeAnswer, _with_body(_IMPORT))
