"""A dataset folder as arrays, and its training part: what is judged on never gets into it."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.demo.folders import folder

from talentfeed.contracts import NO_DATE
from talentfeed.demo import folder as folders
from talentfeed.errors import DatasetError


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


MANY = (
    "user_id,video_id,timestamp,type,reward,watch_ratio,note\n"
    '1,11,2022-04-25T00:00:00Z,impression,0,0,"a, b"\n'
    "1,10,2022-04-24T15:05:41.436Z,impression,1,1.25,\n"
    "2,10,,impression,0.5,,\n"
    "9,10,2022-04-24T15:06:00Z,impression,1,1,\n"
)


def test_rows_are_read_oldest_first_and_unknown_people_left_out(tmp_path: Path) -> None:
    data = folders.read(folder(tmp_path, interactions=MANY))
    log = data.interactions
    assert (data.users.tolist(), data.videos.tolist(), data.dated) == ([1, 2], [10, 11], True)
    assert log.user.tolist() == [1, 0, 0]
    assert log.video.tolist() == [0, 0, 1]
    assert log.at.tolist() == [NO_DATE, at("2022-04-24T15:05:41.436"), at("2022-04-25")]
    assert log.reward.tolist() == [0.5, 1.0, 0.0]


def test_history_is_in_each_user_s_own_order(tmp_path: Path) -> None:
    history = "user_id,seq,video_id,reward\n2,3,10,1\n1,-1,10,1\n1,-2,11,0\n1,10,11,1\n"
    found = folders.read(folder(tmp_path, history=history)).history
    pairs = list(zip(found.user.tolist(), found.video.tolist(), strict=True))
    assert [video for user, video in pairs if user == 0] == [1, 0, 1]
    assert found.at.tolist() == [NO_DATE] * 4


def test_the_training_part_holds_what_is_known_to_be_before_the_cut_and_nothing_else(tmp_path: Path) -> None:
    source = folder(tmp_path, interactions=MANY, test=MANY, full_feedback="user_id,video_id\n1,10\n")
    dropped = folders.write_training(source, tmp_path / "part", at("2022-04-25"))
    assert dropped == 2  # the one at the cut, and the one without a time
    assert sorted(path.name for path in (tmp_path / "part").iterdir()) == [
        "history.csv.gz", "interactions.csv.gz", "users.csv.gz", "videos.csv.gz",
    ]  # fmt: skip
    kept = folders.read(tmp_path / "part").interactions
    assert kept.at.tolist() == [at("2022-04-24T15:05:41.436")]
    text = gzip.decompress((tmp_path / "part/interactions.csv.gz").read_bytes()).decode()
    assert text.splitlines()[0] == MANY.splitlines()[0]


def test_rows_without_a_time_stay_where_they_are_known_to_be_early(tmp_path: Path) -> None:
    source = folder(tmp_path, interactions=MANY)
    assert folders.write_training(source, tmp_path / "part", at("2022-04-25"), keep_undated=True) == 1
    assert folders.write_training(source, tmp_path / "all", None) == 0


BLOCK = {
    "users": "id,in_small_matrix\n1,1\n2,0\n3,1\n",
    "videos": "id,user_id,created_at,skills,in_small_matrix\n10,,,,1\n11,,,,0\n12,,,,1\n",
    "history": None,
}


def test_a_block_is_a_matrix_of_its_users_and_videos(tmp_path: Path) -> None:
    there = folder(tmp_path, **BLOCK, full_feedback="user_id,video_id\n3,10\n1,12\n")
    assert folders.read_block(there, folders.read(there)).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({**BLOCK, "full_feedback": "user_id,video_id\n3,11\n"}, "user 3 and video 11 are not both of the block"),
        ({**BLOCK, "full_feedback": None}, "the file is missing"),
        ({"full_feedback": "user_id,video_id\n"}, "a fully observed block is needed"),
    ],
)
def test_a_block_that_is_none_is_refused(changed: dict[str, str | None], reason: str, tmp_path: Path) -> None:
    there = folder(tmp_path, **changed)
    with pytest.raises(DatasetError, match=reason):
        folders.read_block(there, folders.read(there))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"users": "id\n1\n1\n"}, "an id stands twice"),
        ({"history": "user_id,seq,video_id,reward\n1,first,10,1\n"}, "line 2, column seq: 'first': it is no number"),
        ({"interactions": "user_id,video_id\n1,10\n"}, "no column timestamp, reward"),
    ],
)
def test_a_folder_of_another_form_is_refused(changed: dict[str, str | None], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=reason):
        folders.read(folder(tmp_path, **changed))


def test_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such folder"):
        folders.read(tmp_path / "absent")
