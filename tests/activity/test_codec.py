"""An activity as JSON, as a row, as an event."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.activity.parts import reported

from talentfeed.activity import codec, keys
from talentfeed.contracts import CLIENT_EVENTS, Activity, Event, Kind

ROWS = codec.Rows(resume_subject_type="R", challenge_subject_type="C")
AT = "2026-03-01T12:00:00.999Z"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
activities = st.builds(
    Activity,
    event_type=st.sampled_from([str(e) for e in CLIENT_EVENTS]),
    event_id=texts,
    user_id=st.integers(0, 2**63 - 1),
    timestamp=st.floats(0, 4e9).map(codec.timestamp),
    source=st.sampled_from(["feed", "client"]),
    video_id=st.integers(0, 2**63 - 1),
    item_type=st.sampled_from(["resume", "challenge"]),
    video_url=st.none() | texts,
    position=st.none() | st.integers(0, 1000),
    feed_type=st.none() | st.sampled_from(["total", "discover", "flow"]),
    session_id=st.none() | texts,
    value=st.none() | st.floats(1, 5),
    watch_ratio=st.none() | st.floats(0, 10),
    extra=st.none() | st.dictionaries(texts, st.integers(0, 9), max_size=2),
)


@settings(max_examples=100)
@given(activities)
def test_an_activity_survives_the_way_to_json_and_back(activity: Activity) -> None:
    assert codec.decode(codec.encode(activity)) == activity


@settings(max_examples=100)
@given(activities)
def test_json_has_the_names_of_the_contract_without_those_that_are_none(activity: Activity) -> None:
    expected = {name: getattr(activity, name) for name in Activity.__slots__}
    assert json.loads(codec.encode(activity)) == {k: v for k, v in expected.items() if v is not None}


@settings(max_examples=100)
@given(st.lists(activities, max_size=5))
def test_what_recent_keeps_is_the_viewers_event(many: list[Activity]) -> None:
    assert codec.decode_events([codec.encode_event(codec.event(a)) for a in many]) == [
        Event(
            event_type=a.event_type,
            kind=Kind.VIDEO if a.item_type == "resume" else Kind.FLOW,
            item_id=a.video_id or 0,
            at=codec.seconds(a.timestamp),
            value=a.value,
            watch_ratio=a.watch_ratio,
        )
        for a in many
    ]


def test_one_broken_event_does_not_hide_the_others() -> None:
    good = codec.encode_event(codec.event(reported(1, "e")))
    assert (
        len(codec.decode_events([good, b"{", b"\xff", b'{"event_type":"like","kind":7,"item_id":1,"at":1.0}', good]))
        == 2
    )


def test_a_served_video_becomes_a_row_as_the_platform_has_them() -> None:
    payload = codec.encode(
        Activity(
            event_type="video_view",
            event_id="f:3",
            user_id=7,
            timestamp=AT,
            source="feed",
            video_id=129279,
            feed_type="discover",
        )
    )
    assert ROWS.row(payload) == {
        "log_name": "app",
        "description": "#video #view #discover",
        "subject_id": 129279,
        "subject_type": "R",
        "causer_id": 7,
        "causer_type": "App\\User",
        "properties": payload.decode(),
        "url": "/api/search/feed/video/129279",
        "created_at": "2026-03-01 12:00:00",  # cut, not rounded
        "updated_at": "2026-03-01 12:00:00",
    }


def test_a_feed_request_names_its_endpoint_and_no_subject() -> None:
    row = ROWS.row(
        codec.encode(
            Activity(
                event_type="feed_request",
                event_id="f",
                user_id=7,
                timestamp=AT,
                source="feed",
                feed_type="flow",
                size=9,
            )
        )
    )
    assert row["description"] == "#feed #request #flow"
    assert row["url"] == "/api/search/flow"
    assert row["subject_id"] is None
    assert row["subject_type"] is None
    assert "item_type" not in json.loads(row["properties"])


@pytest.mark.parametrize("event_type", ["like", "save", "rating", "match", "share", "skip"])
def test_a_clients_event_is_tagged_with_its_type(event_type: str) -> None:
    row = ROWS.row(codec.encode(reported(1, "e", event_type=event_type, item_type="challenge")))
    assert row["description"] == f"#video #{event_type}"
    assert row["subject_type"] == "C"


def test_times_with_another_offset_become_utc() -> None:
    payload = codec.encode(reported(1, "e", timestamp="2026-03-01T07:00:00-05:00"))
    assert ROWS.row(payload)["created_at"] == "2026-03-01 12:00:00"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "truncated"),
        (b"\xff\xfe", "0xff|utf-8|malformed"),
        (b"[]", "object"),
        (b'{"event_type":"like"}', "missing required field"),
        (codec.encode(reported(1, "e")).replace(b'"user_id":1', b'"user_id":-1'), "outside of 0"),
        (codec.encode(reported(1, "e")).replace(b'"user_id":1', b'"user_id":9223372036854775808'), "int|outside"),
        (codec.encode(reported(1, "e", timestamp="yesterday")), "isoformat"),
        (codec.encode(reported(1, "e", timestamp="0001-01-01T00:00:00+14:00")), "1970"),
        (codec.encode(reported(1, "e", item_type="reel")), "item_type"),
        (codec.encode(reported(1, "e")).replace(b',"video_id":10', b""), "names no item"),
        (codec.encode(reported(1, "e", extra={"a": 1})).replace(b'"a":1', b'"a":"\xff"'), "utf-8"),
    ],
)
def test_what_is_no_activity_is_told_apart_with_a_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(codec.UndecodableActivityError, match=f"(?i){reason}"):
        ROWS.row(payload)
    assert codec.decode_all([payload]) == ([], 1)


def test_timestamps_are_utc_with_milliseconds() -> None:
    assert codec.timestamp(1_772_366_400.2509) == "2026-03-01T12:00:00.250Z"
    assert codec.seconds("2026-03-01T12:00:00.250Z") == 1_772_366_400.25
    assert codec.seconds("2026-03-01T12:00:00") == 1_772_366_400.0


def test_an_odd_event_id_is_hashed_into_a_key_that_a_database_keeps_apart() -> None:
    plain = keys.event(1, "Abc-1.2:3_4")
    assert plain == "event:1:Abc-1.2:3_4"
    odd = [keys.event(1, text) for text in ("a ", "a", "á", "x" * 129, "", "\ud800", "~a")]
    assert len(set(odd)) == len(odd)
    assert all(key.isascii() and len(key) <= 191 for key in odd)
    assert len(keys.event(2**63 - 1, "y" * 128)) <= 191
