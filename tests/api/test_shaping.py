"""What is at hand of items is that of the snapshot that is served, and its answers are JSON in every case."""

import json
from typing import Any

from tests.api.conftest import small_catalogue

from talentfeed.activity.sessions import Session
from talentfeed.api.shaping import REMEMBERED, Creators, Shelf, shape
from talentfeed.contracts import Kind, Pool, Slate, Slot, Snapshot
from talentfeed.ranking.viewer import last_creators


def slot(kind: Kind, row: int, pool: Pool = Pool.AFFINITY) -> Slot:
    return Slot(kind, row, pool, Pool.AFFINITY, 0.5, False, ())


def shaped(snapshot: Snapshot, slots: list[Slot], shelf: Shelf, endpoint: str = "total") -> Any:
    slate = Slate(slots=slots, gave_way=[], removed={})
    found = shelf(snapshot, slots)
    return json.loads(shape(snapshot, slate, Session(session_id="s"), found, endpoint=endpoint, feed_id="f"))["body"]


def test_a_body_names_its_items_in_order_each_with_its_pool() -> None:
    snapshot, shelf = small_catalogue(), Shelf()
    slots = [slot(Kind.VIDEO, 3), slot(Kind.FLOW, 3, Pool.FLOW), slot(Kind.VIDEO, 0)]
    for _ in range(2):
        body = shaped(snapshot, slots, shelf)
        assert body["mix_ids"] == ["1003", "5003", "1000"]
        assert [(item["id"], item["pool"]) for item in body["items"]] == [(1003, "AU"), (5003, "FW"), (1000, "AU")]
        assert body["fallbacks"] == [{"slot": 1, "planned": "AU", "pool": "FW"}]


def test_a_body_without_items_is_json_too() -> None:
    body = shaped(small_catalogue(), [], Shelf(), "flow")
    assert (body["challenge_ids"], body["items"]) == ([], [])


def test_another_snapshot_of_the_same_rows_has_its_own_items() -> None:
    first, shelf, creators = small_catalogue(), Shelf(), Creators()
    slots, item = [slot(Kind.VIDEO, 0)], (Kind.VIDEO, 1_000)
    before = shaped(first, slots, shelf)["mix_ids"], shelf(first, slots)[0].served.id, creators(first, [item])
    second = small_catalogue("second")
    object.__setattr__(second.videos, "id", second.videos.id + 7_000)
    after = shaped(second, slots, shelf)["mix_ids"], shelf(second, slots)[0].served.id, creators(second, [item])
    assert before == (["1000"], 1_000, last_creators(first, [item]))
    assert after == (["8000"], 8_000, [()])


def test_creators_are_those_of_the_last_eleven_however_many_were_asked_before() -> None:
    snapshot, creators = small_catalogue(), Creators()
    items: list[tuple[Kind, int] | int] = [
        1_000,
        (Kind.FLOW, 5_000),
        77,
        (Kind.VIDEO, 5_000),
        5_000,
        *range(1_010, 1_020),
    ]
    for number in range(REMEMBERED // 10 + 2):
        creators(snapshot, range(10 * number, 10 * number + 10))
        if number % 300 == 0:
            assert creators(snapshot, items) == last_creators(snapshot, items)
            assert creators(snapshot, items) == last_creators(snapshot, items)
