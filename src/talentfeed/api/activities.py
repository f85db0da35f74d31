"""What clients report: one event or up to 500, all of them or none."""

import re
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from talentfeed.api.bodies import USER_ID, read_object
from talentfeed.api.fields import Fields
from talentfeed.api.metrics import Metrics
from talentfeed.api.problems import Problem, RefusedError
from talentfeed.api.service import Service
from talentfeed.contracts import CLIENT_EVENTS, Activity, EventType, Snapshot
from talentfeed.errors import RowsRefusedError
from talentfeed.lookup import rows_of
from talentfeed.times import iso_milliseconds

MAX_EVENTS = 500
MAX_EVENT_ID = 128
MAX_WATCH_RATIO = 1_000.0  # a loop left running for hours; beyond is a client's mistake
MAX_POSITION = 1_000_000
FUTURE_SECONDS = 300.0  # clocks differ
OLDEST = 946_684_800.0  # 2000-01-01: before is no event of ours, and beyond some databases' times

ITEM_TYPES = ("resume", "challenge")
EVENT_TYPES = tuple(event.value for event in CLIENT_EVENTS)
POSITION_FORM = f"a whole number from 0 to {MAX_POSITION}"
EVENT_ID_FORM = f"a text of 1 to {MAX_EVENT_ID} printable characters without blanks around it, unique for its user"
TIME_FORM = "an ISO 8601 time such as 2026-03-01T12:00:00Z (UTC where it names no offset)"

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|z|[+-]\d\d(:?\d\d)?)?",
    re.ASCII,
)


def activities_endpoint(service: Service, metrics: Metrics) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """The handler of `POST /activities`."""

    async def activities(request: Request) -> Response:
        serving = service.serving
        events = read_activities(
            await read_object(request), now=time.time(), snapshot=serving.snapshot if serving else None
        )
        try:
            accepted = await service.recorder.report(events)
        except RowsRefusedError as error:  # whole batch refused for what is in it: coming again would not help
            problem = Problem("activities", f"{len(events)} events", f"events that can be stored: {error}")
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, [problem]) from error
        for event in events:
            metrics.activities[event.event_type].inc()
        return Response(
            msgspec.json.encode({"statusCode": 202, "body": {"accepted": accepted}}),
            status_code=HTTPStatus.ACCEPTED,
            media_type="application/json",
        )

    return activities


def read_activities(body: Mapping[str, Any], *, now: float, snapshot: Snapshot | None) -> list[Activity]:
    """One event, or the list under `activities`. Raises RefusedError 422 with every wrong field of every event."""
    problems: list[Problem] = []
    listed = body.get("activities")
    if listed is None:
        found = [_activity(Fields(body, problems), now=now, snapshot=snapshot)]
    elif not isinstance(listed, list) or not 1 <= len(listed) <= MAX_EVENTS:
        size = f"{len(listed)} events" if isinstance(listed, list) else listed
        problems.append(Problem("activities", size, f"a list of 1 to {MAX_EVENTS} events"))
        found = []
    else:
        found = []
        for place, event in enumerate(listed):
            name = f"activities[{place}]"
            if isinstance(event, dict):
                found.append(_activity(Fields(event, problems, f"{name}."), now=now, snapshot=snapshot))
            else:
                problems.append(Problem(name, event, "a JSON object"))
    if problems:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, problems)
    return [activity for activity in found if activity is not None]


def _activity(fields: Fields, *, now: float, snapshot: Snapshot | None) -> Activity | None:
    """One event → Activity; None after noting what is wrong."""
    before = len(fields.problems)
    event_type = fields.choice("event_type", EVENT_TYPES)
    user_id = fields.whole_number(USER_ID, required=True)
    video_id = fields.whole_number(("video_id",), required=True)
    item_type = fields.choice("item_type", ITEM_TYPES, default="resume")
    event_id = _event_id(fields)
    value = fields.number("value", 1, 5, required=event_type == EventType.RATING)
    watch_ratio = fields.number("watch_ratio", 0, MAX_WATCH_RATIO)
    feed_id = fields.key("feed_id")
    session_id = fields.key("session_id")
    position = fields.whole_number(("position",), most=MAX_POSITION, accepted=POSITION_FORM)
    timestamp = _timestamp(fields, now)
    if len(fields.problems) > before or event_type is None or user_id is None or item_type is None:
        return None
    return Activity(
        event_type=event_type,
        event_id=event_id,
        user_id=user_id,
        timestamp=timestamp,
        source="client",
        video_id=video_id,
        item_type=item_type,
        video_url=None if snapshot is None or video_id is None else _url(snapshot, item_type, video_id),
        position=position,
        session_id=session_id,
        feed_id=feed_id,
        value=value,
        watch_ratio=watch_ratio,
    )


def _event_id(fields: Fields) -> str:
    value = fields.get("event_id")
    if value is None:
        return uuid.uuid4().hex
    if type(value) is str and 1 <= len(value) <= MAX_EVENT_ID and value.isprintable() and value == value.strip():
        return value
    fields.wrong("event_id", value, EVENT_ID_FORM)
    return ""


def _timestamp(fields: Fields, now: float) -> str:
    """The event's time in UTC with milliseconds; now where it has none."""
    value = fields.get("timestamp")
    if value is None:
        return iso_milliseconds(now)
    at = _seconds(value)
    if at is None:
        fields.wrong("timestamp", value, TIME_FORM)
    elif not OLDEST <= at <= now + FUTURE_SECONDS:
        fields.wrong("timestamp", value, f"a time from 2000 to 5 minutes from now (it is {iso_milliseconds(now)})")
    else:
        return iso_milliseconds(at)
    return ""


def _seconds(value: Any) -> float | None:
    if type(value) is not str or not _TIME.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value.upper())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _url(snapshot: Snapshot, item_type: str, item_id: int) -> str | None:
    """The item's URL where it is served now."""
    catalogue = snapshot.videos if item_type == "resume" else snapshot.flows
    [row], [known] = rows_of(catalogue.id, np.array([item_id], np.int64))
    if not known:
        return None
    begin, end = catalogue.url_start[row : row + 2]
    return catalogue.url[begin:end].tobytes().decode()
