"""What a client's event may look like, and what not."""

from typing import Any

import pytest
from tests.ranking.factory import NOW, flow, make_snapshot, video

from talentfeed.api.activities import MAX_EVENTS, read_activities
from talentfeed.api.problems import RefusedError
from talentfeed.contracts import CLIENT_EVENTS, Activity

EVENT = {"event_type": "like", "user_id": 7, "video_id": 10}
AT = "2026-09-21T14:13:20.000Z"  # NOW


def read(body: dict[str, Any]) -> list[Activity]:
    return read_activities(body, now=NOW, snapshot=None)


def refused(body: dict[str, Any]) -> dict[str, Any]:
    with pytest.raises(RefusedError) as caught:
        read(body)
    assert caught.value.status == 422
    return {problem.field: problem.value for problem in caught.value.problems}


def test_the_least_event_gets_an_id_the_time_and_the_defaults() -> None:
    [activity] = read(EVENT)
    assert (activity.event_type, activity.user_id, activity.video_id) == ("like", 7, 10)
    assert (activity.item_type, activity.source, activity.timestamp) == ("resume", "client", AT)
    assert len(activity.event_id) == 32
    assert read(EVENT)[0].event_id != activity.event_id


def test_every_field_is_kept() -> None:
    [activity] = read(
        {
            "event_type": "rating",
            "SELF_ID": "7",
            "video_id": "90",
            "item_type": "challenge",
            "event_id": "e-1",
            "value": 4,
            "watch_ratio": 0.5,
            "feed_id": "f" * 32,
            "session_id": "1790000000000",
            "position": 3,
            "timestamp": "2026-09-21T09:13:20-05:00",
        }
    )
    assert activity == Activity(
        event_type="rating",
        event_id="e-1",
        user_id=7,
        timestamp=AT,
        source="client",
        video_id=90,
        item_type="challenge",
        position=3,
        session_id="1790000000000",
        feed_id="f" * 32,
        value=4.0,
        watch_ratio=0.5,
    )


@pytest.mark.parametrize("event_type", [event.value for event in CLIENT_EVENTS])
def test_each_client_event_is_taken(event_type: str) -> None:
    assert read({**EVENT, "event_type": event_type, "value": 5})[0].event_type == event_type


def test_null_counts_as_absent() -> None:
    names = ("item_type", "event_id", "value", "watch_ratio", "feed_id", "session_id", "position", "timestamp")
    [activity] = read({**EVENT, **dict.fromkeys(names)})
    assert activity.item_type == "resume"
    assert activity.timestamp == AT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_type", None),
        ("event_type", "feed_request"),
        ("event_type", "LIKE"),
        ("event_type", 1),
        ("user_id", None),
        ("user_id", True),
        ("video_id", None),
        ("video_id", -1),
        ("video_id", 1.0),
        ("item_type", "video"),
        ("item_type", 0),
        ("event_id", ""),
        ("event_id", "x" * 129),
        ("event_id", "a\nb"),
        ("event_id", " a"),
        ("event_id", 5),
        ("value", 0.5),
        ("value", 5.1),
        ("value", "4"),
        ("value", True),
        ("value", 10**300),
        ("watch_ratio", -0.1),
        ("watch_ratio", 1_001),
        ("watch_ratio", "1"),
        ("feed_id", "a b"),
        ("session_id", ""),
        ("position", -1),
        ("position", 1_000_001),
        ("timestamp", "yesterday"),
        ("timestamp", 1_790_000_000),
        ("timestamp", "2026-13-01T00:00:00Z"),
        ("timestamp", "2026-02-30T00:00:00Z"),
        ("timestamp", "2026-09-21T24:61:00Z"),
        ("timestamp", "2026-09-21T14:13:20+25:00"),
        ("timestamp", "2026-09-21"),
        ("timestamp", "２０２６-09-21T14:13:20Z"),
        ("timestamp", "0001-01-01T00:00:00+14:00"),
        ("timestamp", "9999-12-31T23:59:59-14:00"),
        ("timestamp", "1999-12-31T23:59:59Z"),
        ("timestamp", "2026-09-21T14:18:21Z"),
    ],
)
def test_a_wrong_value_is_named(field: str, value: Any) -> None:
    assert refused({**EVENT, field: value}) == {field: value}


def test_a_rating_needs_its_value() -> None:
    assert refused({**EVENT, "event_type": "rating"}) == {"value": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-09-21T14:13:20Z", AT),
        ("2026-09-21t14:13:20z", AT),
        ("2026-09-21 14:13:20", AT),
        ("2026-09-21T14:13", "2026-09-21T14:13:00.000Z"),
        ("2026-09-21T14:13:20.5+00:00", "2026-09-21T14:13:20.500Z"),
        ("2026-09-21T14:13:20.123456789Z", "2026-09-21T14:13:20.123Z"),
        ("2026-09-21T09:13:20-0500", AT),
        ("2026-09-21T14:18:20Z", "2026-09-21T14:18:20.000Z"),
        ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00.000Z"),
    ],
)
def test_times_come_in_iso_8601_and_are_kept_in_utc(text: str, expected: str) -> None:
    assert read({**EVENT, "timestamp": text})[0].timestamp == expected


def test_several_events_come_as_a_list() -> None:
    events = read({"activities": [{**EVENT, "video_id": number} for number in range(MAX_EVENTS)]})
    assert [event.video_id for event in events] == list(range(MAX_EVENTS))


@pytest.mark.parametrize("value", [[], [EVENT] * (MAX_EVENTS + 1), {}, "x", 5, True])
def test_a_list_that_is_empty_too_long_or_none_is_wrong(value: Any) -> None:
    assert list(refused({"activities": value})) == ["activities"]


def test_every_wrong_field_of_every_event_is_told_with_its_place() -> None:
    problems = refused(
        {
            "activities": [
                EVENT,
                {**EVENT, "event_type": "rating", "value": 9},
                "like",
                {"event_type": "like", "user_id": "x"},
            ]
        }
    )
    assert set(problems) == {
        "activities[1].value",
        "activities[2]",
        "activities[3].user_id",
        "activities[3].video_id",
    }


def test_an_items_url_is_added_where_it_is_served() -> None:
    snapshot = make_snapshot(videos=[video(10), video(12)], flows=[flow(90)])

    def url(**event: Any) -> str | None:
        return read_activities({**EVENT, **event}, now=NOW, snapshot=snapshot)[0].video_url

    assert url(video_id=12) == "https://media.example.org/resumes/12.mp4"
    assert url(video_id=90, item_type="challenge") == "https://media.example.org/challenges/90.mp4"
    assert url(video_id=90) is None
    assert url(video_id=11) is None
    assert url(video_id=2**63 - 1) is None
