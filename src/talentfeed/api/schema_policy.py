"""What /docs shows of the calls on the policy. Documentation only."""

from typing import Any, Literal

from pydantic import BaseModel

from talentfeed.api.policy import FEEDS_FORM, MOST_FEEDS, MOST_POLICIES, POLICIES_FORM, VERSION_FORM
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


class Estimate(BaseModel):
    """A mean reward of a place, with its interval."""

    value: float
    low: float
    high: float


class Judgement(BaseModel):
    """A policy judged."""

    rows: int
    logged: Estimate
    estimates: dict[str, Estimate]
    replayed: int
    effective_rows: float
    effective_rewards: float
    mean_weight: float
    largest_weight: float
    warnings: list[str]


class Compared(BaseModel):
    """Policies judged on one log."""

    feeds: int
    skipped: dict[str, int]
    seed: int
    policies: dict[str, Judgement]
    differences: dict[str, dict[str, Estimate]]  # of each but the first: what it earns more than the first


class ComparedAnswer(BaseModel):
    """Policies judged on one log."""

    statusCode: Literal[200]  # noqa: N815
    body: Compared


_PATTERN = {"type": "string", "pattern": "^[a-z0-9-]{1,64}$", "description": VERSION_FORM}
_VERSION = {"name": "version", "in": "query", "required": False, "schema": _PATTERN, "description": VERSION_FORM}
_ROLLBACK = {"type": "object", "properties": {"version": _PATTERN}}
_IMPORT = {
    "type": "object",
    "required": ["form", "state"],
    "properties": {"form": {"type": "integer", "const": 1}, "state": {"type": "string"}},
}
_COMPARE = {
    "type": "object",
    "required": ["policies"],
    "properties": {
        "policies": {
            "type": "array",
            "items": {"type": "string", "maxLength": 1000},
            "minItems": 1,
            "maxItems": MOST_POLICIES,
            "description": POLICIES_FORM,
        },
        "feeds": {"type": "integer", "minimum": 1, "maximum": MOST_FEEDS, "description": FEEDS_FORM},
        "seed": {"type": "integer", "minimum": 0},
    },
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
COMPARE: tuple[type[BaseModel], dict[str, Any]] = (ComparedAnswer, _with_body(_COMPARE))
