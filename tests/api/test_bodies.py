"""Every alias and form of a feed request's fields, and every wrong one."""

import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talentfeed.api.bodies import FeedQuery, feed_query, parse
from talentfeed.api.fields import MAX_ID, MAX_IDS, Fields, to_whole
from talentfeed.api.problems import RefusedError, shown


def read(body: dict[str, Any], *, sized: bool = True) -> FeedQuery:
    return feed_query(body, sized=sized)


def refused(body: dict[str, Any], *, sized: bool = True) -> dict[str, Any]:
    with pytest.raises(RefusedError) as caught:
        feed_query(body, sized=sized)
    assert caught.value.status == 422
    return {problem.field: problem.value for problem in caught.value.problems}


@pytest.mark.parametrize("name", ["user_id", "SELF_ID"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (7, 7), (MAX_ID, MAX_ID), ("7", 7), ("0", 0), ("007", 7), (" 12 ", 12), (str(MAX_ID), MAX_ID)],
)
def test_a_user_id_is_a_whole_number_or_its_digits_under_either_name(name: str, value: Any, expected: int) -> None:
    assert read({name: value}).user_id == expected


@pytest.mark.parametrize(
    "value",
    [
        -1,
        MAX_ID + 1,
        10**30,
        True,
        False,
        12.0,
        1.5,
        "",
        " ",
        "-1",
        "+5",
        "1.0",
        "1e3",
        "0x1f",
        "1_000",
        "１２",
        "١٢",
        "²",
        "12a",
        "1 2",
        str(MAX_ID + 1),
        "9" * 5_000,
        [],
        [7],
        {},
        {"id": 7},
    ],
)
@pytest.mark.parametrize("name", ["user_id", "SELF_ID"])
def test_anything_else_is_a_wrong_user_id_and_named_as_it_came(name: str, value: Any) -> None:
    assert list(refused({name: value})) == [name]


def test_a_text_of_digits_may_begin_with_any_number_of_zeros() -> None:
    assert to_whole("0" * 10_000 + "5") == 5


def test_a_missing_or_null_user_id_is_required() -> None:
    assert refused({}) == {"user_id": None}
    assert refused({"user_id": None, "SELF_ID": None}) == {"user_id": None}


def test_null_under_one_name_leaves_the_other() -> None:
    assert read({"user_id": None, "SELF_ID": "9"}).user_id == 9


def test_two_names_may_agree_but_not_disagree() -> None:
    assert read({"user_id": 7, "SELF_ID": "7"}).user_id == 7
    assert refused({"user_id": 7, "SELF_ID": 8}) == {"SELF_ID": 8}
    assert read({"user_id": 7, "size": 5, "MAX_SIZE": "5"}).size == 5
    assert refused({"user_id": 7, "size": 5, "MAX_SIZE": 6}) == {"MAX_SIZE": 6}


@pytest.mark.parametrize("name", ["excluded_ids", "LAST_IDS", "videos_excluidos"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], []),
        ("", []),
        ("  ", []),
        (None, []),
        ([3, 1, 2, 1], [3, 1, 2, 1]),
        (["3", "1"], [3, 1]),
        ([3, "1", " 2 "], [3, 1, 2]),
        ("3,1,2", [3, 1, 2]),
        (" 3 , 1 ", [3, 1]),
        ("42", [42]),
        ([MAX_ID, 0], [MAX_ID, 0]),
        ([str(MAX_ID)], [MAX_ID]),
        (["0000000000000000000000007"], [7]),
    ],
)
def test_excluded_ids_come_in_every_form_under_every_name(name: str, value: Any, expected: list[int]) -> None:
    excluded = read({"user_id": 1, name: value}).excluded_ids
    assert excluded.dtype == np.int64
    assert excluded.tolist() == expected


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (5, "excluded_ids"),
        (True, "excluded_ids"),
        ({}, "excluded_ids"),
        (1.5, "excluded_ids"),
        ([1, -1], "excluded_ids[1]"),
        ([1, True], "excluded_ids[1]"),
        ([True, False], "excluded_ids[0]"),
        ([1, 2.0], "excluded_ids[1]"),
        ([1, None], "excluded_ids[1]"),
        ([1, [2]], "excluded_ids[1]"),
        ([MAX_ID + 1], "excluded_ids[0]"),
        ([2**64], "excluded_ids[0]"),
        (["1,2"], "excluded_ids[0]"),
        (["１"], "excluded_ids[0]"),
        (["1", ""], "excluded_ids[1]"),
        ([str(MAX_ID + 1)], "excluded_ids[0]"),
        ("1,,2", "excluded_ids[1]"),
        ("1,2,", "excluded_ids[2]"),
        ("1;2", "excluded_ids[0]"),
        ("1,-2", "excluded_ids[1]"),
        ("1,+2", "excluded_ids[1]"),
        ("1,1_0", "excluded_ids[1]"),
    ],
)
def test_a_wrong_excluded_id_is_told_with_its_place(value: Any, wrong: str) -> None:
    assert wrong in refused({"user_id": 1, "excluded_ids": value})


def test_ids_given_under_several_names_are_all_excluded() -> None:
    query = read({"user_id": 1, "excluded_ids": [1], "LAST_IDS": "2,3", "videos_excluidos": ["4"]})
    assert query.excluded_ids.tolist() == [1, 2, 3, 4]


def test_as_many_ids_as_allowed_pass_and_one_more_does_not() -> None:
    assert len(read({"user_id": 1, "excluded_ids": list(range(MAX_IDS))}).excluded_ids) == MAX_IDS
    assert refused({"user_id": 1, "excluded_ids": list(range(MAX_IDS + 1))}) == {"excluded_ids": "50001 ids"}
    assert refused({"user_id": 1, "excluded_ids": ",".join(["1"] * (MAX_IDS + 1))}) == {"excluded_ids": "50001 ids"}
    assert refused({"user_id": 1, "excluded_ids": [1] * MAX_IDS, "LAST_IDS": [2]}) == {"LAST_IDS": "50001 ids"}


def test_of_many_wrong_ids_the_first_ten_are_told_and_how_many_there_are() -> None:
    problems = refused({"user_id": 1, "excluded_ids": ["x"] * 1_000})
    assert len(problems) == 11
    assert problems["excluded_ids"] == "1000 wrong ids"


@pytest.mark.parametrize("form", ["text", "texts", "numbers"])
def test_a_list_of_300_000_bytes_is_read_in_a_moment(form: str) -> None:
    numbers = list(range(100_000, 143_000))
    value: Any = {"text": ",".join(map(str, numbers)), "texts": list(map(str, numbers)), "numbers": numbers}[form]
    raw = json.dumps({"user_id": 1, "excluded_ids": value}).encode()
    assert len(raw) >= 300_000
    best = 1.0
    for _ in range(5):
        started = time.process_time()
        query = read(parse(raw))
        best = min(best, time.process_time() - started)
    assert query.excluded_ids.tolist() == numbers
    assert best < 0.1


@pytest.mark.parametrize("name", ["size", "MAX_SIZE"])
@pytest.mark.parametrize(("value", "expected"), [(1, 1), (100, 100), ("50", 50), (None, 24)])
def test_size_is_1_to_100_under_either_name(name: str, value: Any, expected: int) -> None:
    assert read({"user_id": 1, name: value}).size == expected


@pytest.mark.parametrize("value", [0, 101, -1, "0", "101", "ten", 5.0, True, [], "", 10**25])
def test_another_size_is_wrong(value: Any) -> None:
    assert list(refused({"user_id": 1, "size": value})) == ["size"]


def test_total_has_no_size_and_passes_over_one() -> None:
    assert read({"user_id": 1, "size": "nonsense"}, sized=False).size == 24


@pytest.mark.parametrize("value", ["1790000000000", "a.b_c:d-e", "x" * 128])
def test_a_session_id_is_a_short_plain_text(value: str) -> None:
    assert read({"user_id": 1, "session_id": value}).session_id == value


@pytest.mark.parametrize("value", ["", "x" * 129, "a b", "a\n", "é", "a/b", "*", 5, True, [], {}])
def test_another_session_id_is_wrong(value: Any) -> None:
    assert list(refused({"user_id": 1, "session_id": value})) == ["session_id"]


def test_all_wrong_fields_are_told_at_once() -> None:
    problems = refused({"SELF_ID": "me", "LAST_IDS": 5, "session_id": 1, "MAX_SIZE": 500})
    assert set(problems) == {"SELF_ID", "LAST_IDS", "session_id", "MAX_SIZE"}


@given(st.lists(st.one_of(st.integers(-5, 2**70).map(str), st.text("0123456789,- +.\u0663\t", max_size=6)), max_size=9))
def test_the_fast_way_through_a_long_text_agrees_with_the_list_of_its_parts(values: list[str]) -> None:
    text = ",".join(["1234567"] * 40 + values)
    found = []
    for ids in (text, text.split(",")):
        fields = Fields({"excluded_ids": ids}, [])
        found.append((fields.id_lists(("excluded_ids",)).tolist(), fields.problems))
    assert found[0] == found[1]


@given(st.lists(st.one_of(st.integers(-5, 2**70), st.text(max_size=4), st.integers(0, 2**64).map(str), st.booleans())))
def test_the_fast_way_through_a_list_agrees_with_a_look_at_each(values: list[Any]) -> None:
    expected = [to_whole(value) for value in values]
    try:
        ids = read({"user_id": 1, "excluded_ids": values}).excluded_ids.tolist()
    except RefusedError:
        assert None in expected
    else:
        assert ids == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"{",
        b"user_id=1",
        b"{'user_id': 1}",
        b'{"user_id": NaN}',
        b'{"user_id": Infinity}',
        b'{"user_id": 1,}',
        b'{"user_id": 1} x',
        b'{"user_id": "\xff"}',
        b'{"user_id": "\\ud800"}',
        '{"user_id": 1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 5_000 + b', "b": NaN}',
        b"\x00",
        b"\x1f\x8b\x08\x00",
    ],
)
def test_what_is_not_json_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(raw)
    assert caught.value.status == 400
    assert caught.value.problems[0].field == "body"


def test_a_byte_order_mark_is_skipped_and_a_repeated_key_counts_the_last_time() -> None:
    assert parse(b'\xef\xbb\xbf{"user_id": 1, "user_id": 2}') == {"user_id": 2}


@pytest.mark.parametrize("number", ["9" * 25, "9" * 400, "9" * 5_000, "1e999", "-1e999", "1" + "0" * 5_000 + ".5"])
def test_a_number_beyond_every_range_is_a_wrong_value_of_its_field(number: str) -> None:
    body = parse(f'{{"user_id": {number}, "size": 5}}'.encode())
    problems = refused(body)
    assert list(problems) == ["user_id"]
    assert len(json.dumps(shown(problems["user_id"]))) <= 120


@pytest.mark.parametrize(
    "value", ["x" * 10_000, ["y" * 50] * 1_000, {"k" * 200: "v"}, [[[[1]]]] * 500, 10**300, [10**300], float("inf")]
)
def test_a_shown_value_is_short(value: Any) -> None:
    assert len(str(shown(value))) <= 100


@pytest.mark.parametrize("value", [None, True, 0, -5, 1.5, "text", MAX_ID])
def test_a_short_plain_value_is_shown_as_it_is(value: Any) -> None:
    assert shown(value) is value
