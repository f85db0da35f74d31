"""What /docs shows of answers, as schemas. Documentation only: answers are joined from bytes, not made of these."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from talentfeed.contracts import FEED_ID
from talentfeed.evaluation.replay import ReplayReport
from talentfeed.ranking.explanation import Explanation

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
    feed_id: str = Field(pattern=f"^{FEED_ID}$")
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


class ExplainAnswer(BaseModel):
    """Why a feed is as it is; docs/explain.md tells what each field means."""

    statusCode: Literal[200]  # noqa: N815
    body: Explanation


class ReplayAnswer(BaseModel):
    """A feed ranked once more."""

    statusCode: Literal[200]  # noqa: N815
    body: ReplayReport


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


FEED_ANSWER: dict[str, type[BaseModel]] = {"total": TotalAnswer, "discover": DiscoverAnswer, "flow": FlowAnswer}

_ERRORS = {
    400: "The body is not JSON",
    401: "X-Admin-Key is missing",
    403: "X-Admin-Key is wrong, or none is configured",
    404: "No such feed, or it is not kept any more",
    410: "The snapshot, policy or preset that the feed was made from is gone",
    413: "The body is over 1 MiB",
    429: "Too many calls of this client, where a limit is set; come again after Retry-After seconds",
    422: "A value is wrong; every wrong field is told",
    503: "Nothing to serve yet, or a store does not answer; come again after Retry-After seconds",
}


def responses(status: int, model: type[BaseModel], *errors: int) -> dict[int | str, dict[str, Any]]:
    """The documented answers of a call."""
    listed: dict[int | str, dict[str, Any]] = {status: {"model": model}}
    for error in (*errors, 413, 429):
        listed[error] = {"model": ErrorAnswer, "description": _ERRORS[error]}
    return listed
