"""A dataset folder becomes the platform's tables as docs/data-import.md says, or an error says where it cannot."""

import gzip
import json
from pathlib import Path

import pytest
from tests.demo.folders import HISTORY, INTERACTIONS, USERS, VIDEOS, folder, rows

from talentfeed.demo import place
from talentfeed.demo.dataset import HISTORY as HISTORY_COLUMNS
from talentfeed.demo.dataset import INTERACTIONS as IMPRESSION_COLUMNS
from talentfeed.demo.dataset import RESUME, ImportReport, import_dataset
from talentfeed.demo.dataset import USERS as USER_COLUMNS
from talentfeed.demo.dataset import VIDEOS as VIDEO_COLUMNS
from talentfeed.errors import DatasetError, SourceError


def imported(tmp_path: Path, **changed: str | None) -> tuple[Path, ImportReport]:
    path = tmp_path / "a.db"
    return path, import_dataset(folder(tmp_path, **changed), path)


def refused(tmp_path: Path, **changed: str | None) -> str:
    """The error's text, with the folder's path as `tiny`; nothing may be left of the import."""
    there = folder(tmp_path, **changed)
    with pytest.raises(DatasetError) as caught:
        import_dataset(there, tmp_path / "out" / "a.db")
    assert list((tmp_path / "out").iterdir()) == []
    return str(caught.value).replace(str(there), "tiny")


# ------------------------------------------------------------- the mapping


def test_users_become_users_and_those_with_a_profile_get_one(tmp_path: Path) -> None:
    path, report = imported(tmp_path)
    assert rows(path, "SELECT * FROM users ORDER BY id") == [
        (1, "", None, None, None, None, None),
        (2, "", "Cali", "Colombia", "2022-01-02 00:00:00", "2022-01-02 00:00:00", None),
    ]
    assert rows(path, "SELECT * FROM profiles") == [(2, '["Canto"]', None, None, None, None, None, None)]
    assert (report.users, report.profiles) == (2, 1)


def test_videos_become_resumes_that_can_be_served(tmp_path: Path) -> None:
    path, report = imported(tmp_path)
    query = "SELECT id, user_id, video, skills, status, created_at, deleted_at, views, image FROM resumes ORDER BY id"
    assert rows(path, query) == [
        (10, 2, "dataset://tiny/videos/10", '["tag_1"]', "send", "2022-04-10 00:00:00", None, None, None),
        (11, 2, "dataset://tiny/videos/11", None, "send", "2022-04-09 00:00:00", None, None, None),
    ]
    assert report.videos == 2


def test_a_timed_impression_becomes_a_view_that_a_client_reports(tmp_path: Path) -> None:
    path, report = imported(tmp_path)
    query = (
        "SELECT log_name, description, subject_id, subject_type, causer_id, causer_type, url, created_at, updated_at"
        " FROM activity_log WHERE description = '#video #view' AND created_at IS NOT NULL ORDER BY id"
    )
    url = "/api/search/feed/video/"
    assert rows(path, query) == [
        ("app", "#video #view", 10, RESUME, 1, r"App\User", f"{url}10", *["2022-04-24 15:05:41.436"] * 2),
        ("app", "#video #view", 11, RESUME, 1, r"App\User", f"{url}11", *["2022-04-24 15:06:00"] * 2),
    ]
    properties = [json.loads(text) for (text,) in rows(path, "SELECT properties FROM activity_log ORDER BY id")]
    assert properties[0] == {
        "event_type": "video_view",
        "event_id": "interactions-2-video_view",
        "user_id": 1,
        "timestamp": "2022-04-24T15:05:41.436Z",
        "source": "client",
        "video_id": 10,
        "item_type": "resume",
        "watch_ratio": 1.25,
        "extra": {"reward": 1},
    }
    assert properties[2]["watch_ratio"] == 0
    assert (report.activities, report.interactions) == (4, 2)  # the fourth: see what has no time


def test_a_like_is_an_activity_of_its_own(tmp_path: Path) -> None:
    path, report = imported(tmp_path)
    ((text,),) = rows(path, "SELECT properties FROM activity_log WHERE description = '#video #like'")
    liked = json.loads(text)
    assert (liked["event_type"], liked["event_id"], liked["video_id"]) == ("like", "interactions-2-like", 10)
    assert "watch_ratio" not in liked
    assert report.likes == 1


def test_what_was_watched_is_a_view_and_what_was_not_is_none(tmp_path: Path) -> None:
    path, report = imported(tmp_path)
    timed = rows(path, "SELECT model_id, user_id, model_type FROM views WHERE created_at IS NOT NULL")
    assert timed == [(10, 1, RESUME)]
    assert rows(path, "SELECT model_id, user_id FROM views WHERE created_at IS NULL") == [(11, 1), (10, 1)]
    assert (report.views, report.history) == (3, 2)


@pytest.mark.parametrize(
    ("signals", "watched"),
    [
        ("0,,,", False),
        ("0,0,0,0", False),
        ("0,,0,", False),
        (",,,", False),
        ("1,,,", True),
        ("0.2,,,", True),
        ("0,0.01,0,0", True),
        ("0,,1,", True),
        ("0,,,1", True),
    ],
)
def test_any_sign_of_watching_makes_an_impression_a_view(tmp_path: Path, signals: str, watched: bool) -> None:
    header = INTERACTIONS.splitlines()[0]
    path, _ = imported(tmp_path, interactions=f"{header}\n1,10,,impression,{signals}\n", history=None)
    assert rows(path, "SELECT model_id FROM views") == [(10,)] * watched


@pytest.mark.parametrize(("row", "watched"), [("0,,", True), ("0,0,0", False), ("0,,0", False), ("0,0.5,", True)])
def test_history_is_viewing_unless_it_says_otherwise(tmp_path: Path, row: str, watched: bool) -> None:
    history = f"user_id,seq,video_id,reward,watch_ratio,is_click\n1,-1,11,{row}\n"
    path, _ = imported(tmp_path, history=history)
    assert rows(path, "SELECT model_id FROM views WHERE created_at IS NULL") == [(11,)] * watched


def test_the_catalogue_is_as_of_the_newest_interaction(tmp_path: Path) -> None:
    path, report = imported(tmp_path, users="id,created_at\n1,2023-01-01\n2,\n")
    made = place.describe(path)
    assert made is not None
    assert (made.made_by, made.folder, made.as_of) == ("import", "tiny", report.as_of)
    assert report.as_json()["as_of"] == "2022-04-24T15:06:00Z"


UNTIMED = "user_id,video_id,timestamp,type,reward\n1,10,,positive,1\n"


def test_without_timed_interactions_the_newest_video_makes_the_day(tmp_path: Path) -> None:
    videos = "id,user_id,created_at,skills\n10,2,2022-05-01T00:00:00.5+02:00,\n"
    _, report = imported(tmp_path, videos=videos, interactions=UNTIMED)
    assert report.as_json()["as_of"] == "2022-04-30T22:00:00.500000Z"


def test_without_timed_videos_either_the_newest_user_makes_the_day(tmp_path: Path) -> None:
    _, report = imported(tmp_path, videos="id,user_id,created_at,skills\n10,2,,\n", interactions=UNTIMED)
    assert report.as_json()["as_of"] == "2022-01-02T00:00:00Z"


def test_times_later_than_now_do_not_make_the_day_and_are_counted(tmp_path: Path) -> None:
    interactions = INTERACTIONS + "1,11,2099-01-01T00:00:00Z,impression,0,0,0,0\n"
    path, report = imported(tmp_path, interactions=interactions)
    assert report.as_json()["as_of"] == "2022-04-24T15:06:00Z"
    assert report.left_out["time later than now (row kept)"] == 1
    assert rows(path, "SELECT count(*) FROM activity_log WHERE created_at > '2099'") == [(1,)]


def test_nothing_is_invented_where_there_are_no_times(tmp_path: Path) -> None:
    path, report = imported(
        tmp_path,
        users="id\n1\n2\n",
        videos="id,user_id,created_at,skills\n10,,,\n",
        interactions="user_id,video_id,timestamp,type,reward\n1,10,,positive,1\n2,10,,positive,1\n",
        history=None,
    )
    assert rows(path, "SELECT model_id, user_id, created_at FROM views") == [(10, 1, None), (10, 2, None)]
    assert rows(path, "SELECT user_id, created_at FROM resumes") == [(None, None)]
    for table in ("profiles", "team_feedbacks", "likes", "matches", "challenges", "user_connections"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(0,)], table  # noqa: S608 - our own names
    assert report.as_of is None
    assert report.left_out == {}
    assert "as_of" not in json.loads((tmp_path / "a.db.json").read_text())


def test_what_has_no_time_says_what_it_was_worth(tmp_path: Path) -> None:
    interactions = UNTIMED + "2,10,,impression,0\n"
    history = "user_id,seq,video_id,reward\n1,-2,11,0.5\n1,-1,11,0\n"
    path, report = imported(tmp_path, interactions=interactions, history=history)
    told = rows(path, "SELECT causer_id, subject_id, created_at, properties FROM activity_log ORDER BY id")
    assert [row[:3] for row in told] == [(1, 10, None), (1, 11, None)]
    worth = [json.loads(row[3]) for row in told]
    assert [one["event_id"] for one in worth] == ["interactions-2-video_view", "history-2-video_view"]
    assert [one["extra"]["reward"] for one in worth] == [1, 0.5]
    assert not any("timestamp" in one for one in worth)
    assert (report.left_out, report.activities) == ({"activity without time": 1}, 2)


def test_given_texts_and_lists_are_kept(tmp_path: Path) -> None:
    path, _ = imported(
        tmp_path,
        users='id,name,languages,knowledge\n1,"Paz, la ""voz""","[""Inglés""]",[]\n2,,,\n',
        videos='id,user_id,created_at,skills,tools,description,video,image\n10,1,,,"[""Figma""]",Hola,http://v/1,http://i/1\n',
    )
    assert rows(path, "SELECT name FROM users ORDER BY id") == [('Paz, la "voz"',), ("",)]
    assert rows(path, "SELECT user_id, languages, knowledge FROM profiles") == [(1, '["Inglés"]', "[]")]
    query = "SELECT video, image, description, tools FROM resumes"
    assert rows(path, query) == [("http://v/1", "http://i/1", "Hola", '["Figma"]')]


def test_a_creator_who_is_no_user_leaves_the_video_its_own_creator(tmp_path: Path) -> None:
    path, report = imported(tmp_path, videos="id,user_id,created_at,skills\n10,77,,\n11,2,,\n")
    assert rows(path, "SELECT id, user_id FROM resumes ORDER BY id") == [(10, None), (11, 2)]
    assert report.left_out == {"creator who is not in users.csv.gz": 1}


def test_rows_of_unknown_users_and_videos_are_kept_and_counted(tmp_path: Path) -> None:
    history = HISTORY + "9,-1,10,1\n1,0,99,1\n"
    path, report = imported(tmp_path, history=history)
    assert rows(path, "SELECT count(*) FROM views WHERE user_id = 9 OR model_id = 99") == [(2,)]
    assert sum(report.left_out.values()) == 2


def test_blank_lines_a_byte_order_mark_and_crlf_are_no_hindrance(tmp_path: Path) -> None:
    path, _ = imported(tmp_path, users="\ufeff" + USERS.replace("\n", "\r\n") + "\r\n\r\n")
    assert rows(path, "SELECT count(*) FROM users") == [(2,)]


def test_files_of_a_header_alone_make_an_empty_platform(tmp_path: Path) -> None:
    heads = {
        name: text.splitlines()[0]
        for name, text in (("users", USERS), ("videos", VIDEOS), ("interactions", INTERACTIONS), ("history", HISTORY))
    }
    path, report = imported(tmp_path, **heads)
    assert rows(path, "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM views)") == [(0, 0)]
    assert report.as_of is None


def test_an_odd_folder_name_makes_a_proper_url(tmp_path: Path) -> None:
    there = folder(tmp_path).rename(tmp_path / "my data")
    import_dataset(there, tmp_path / "a.db")
    assert rows(tmp_path / "a.db", "SELECT video FROM resumes WHERE id = 10") == [("dataset://my%20data/videos/10",)]


def test_the_later_period_and_the_full_feedback_are_not_imported(tmp_path: Path) -> None:
    there = folder(tmp_path, test="not even a CSV file", full_feedback="nor this")
    report = import_dataset(there, tmp_path / "a.db")
    assert report.interactions == 2


def test_progress_tells_each_stage_to_its_end(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    import_dataset(folder(tmp_path), tmp_path / "a.db", progress=lambda stage, done: told.append((stage, done)))
    assert [stage for stage, done in told if done == 1.0] == ["users", "videos", "interactions", "history"]
    assert all(0 <= done <= 1 for _, done in told)


def test_the_documentation_lists_every_column_that_is_read_and_marks_those_that_must_be_there() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data-import.md").read_text(encoding="utf-8")
    tables = {
        "users": USER_COLUMNS,
        "videos": VIDEO_COLUMNS,
        "interactions": IMPRESSION_COLUMNS,
        "history": HISTORY_COLUMNS,
    }
    for name, columns in tables.items():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{name}.csv.gz`"))
        listed = [cell.strip().removesuffix(" (required)") for cell in row.split("|")[2].split(",")]
        assert sorted(listed) == sorted(f"**{c.name}**" if c.required else c.name for c in columns)


# ------------------------------------------------------------- what is refused


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere: there is no such folder"):
        import_dataset(tmp_path / "nowhere", tmp_path / "a.db")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("mine")
    with pytest.raises(SourceError, match="already"):
        import_dataset(folder(tmp_path), tmp_path / "a.db")
    assert (tmp_path / "a.db").read_text() == "mine"


@pytest.mark.parametrize("name", ["users", "videos", "interactions"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    text = refused(tmp_path, **{name: None})
    assert text == f"tiny/{name}.csv.gz: the file is missing; a dataset folder must have it"


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    assert refused(tmp_path, videos="id,skills,created_at\n10,,\n") == (
        "tiny/videos.csv.gz: line 1: no column user_id; it has: id, skills, created_at;"
        " accepted: a header line with id, user_id, created_at, skills"
    )
    assert refused(tmp_path, videos="").endswith(
        "no column id, user_id, created_at, skills; it has: nothing;"
        " accepted: a header line with id, user_id, created_at, skills"
    )


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    text = refused(tmp_path, users="id,city,city\n1,a,b\n")
    assert text == "tiny/users.csv.gz: line 1: the header names city twice; accepted: each column once"


def _users(cells: str) -> dict[str, str]:
    return {"users": f"id,created_at,skills\n5,,\n{cells}\n"}


def _impression(**cells: str) -> dict[str, str]:
    names = ("user_id", "video_id", "timestamp", "type", "reward", "watch_ratio", "is_click", "is_like")
    values = {"user_id": "1", "video_id": "10", "type": "impression", **cells}
    row = ",".join(values.get(name, "") for name in names)
    return {"interactions": f"{','.join(names)}\n{row}\n"}


ID = "a whole number from 0 to 2^63 - 1"
TIME = "ISO 8601 such as 2022-04-24T15:05:41Z, or nothing"
LIST = 'a JSON list such as ["a", "b"], or nothing'


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (_users("x,,"), f"users.csv.gz: line 3, column id: 'x': it is not such a number; accepted: {ID}"),
        (_users(",,"), f"users.csv.gz: line 3, column id: '': it is empty; accepted: {ID}"),
        (_users("-1,,"), f"users.csv.gz: line 3, column id: '-1': it is not such a number; accepted: {ID}"),
        (_users("1.0,,"), f"users.csv.gz: line 3, column id: '1.0': it is not such a number; accepted: {ID}"),
        (_users("٣,,"), f"users.csv.gz: line 3, column id: '٣': it is not such a number; accepted: {ID}"),
        (
            _users(f"{2**63},,"),
            f"users.csv.gz: line 3, column id: '{2**63}': it is not such a number; accepted: {ID}",
        ),
        (_users("5,,"), "users.csv.gz: line 3, column id: 5: line 2 has it already; accepted: each id once"),
        (_users("6,x,"), f"users.csv.gz: line 3, column created_at: 'x': it is not such a time; accepted: {TIME}"),
        (
            _users("6,0001-01-01T00:00:00+05:00,"),
            "users.csv.gz: line 3, column created_at: '0001-01-01T00:00:00+05:00': it is out of range;"
            f" accepted: {TIME}",
        ),
        (_users("6,,[a]"), f"users.csv.gz: line 3, column skills: '[a]': it is not JSON; accepted: {LIST}"),
        (_users("6,,{}"), f"users.csv.gz: line 3, column skills: '{{}}': it is JSON but no list; accepted: {LIST}"),
        (_users("6,"), "users.csv.gz: line 3: 2 cells; accepted: 3, as many as the header has"),
        (_users("6,,,"), "users.csv.gz: line 3: 4 cells; accepted: 3, as many as the header has"),
        (
            _impression(reward="2"),
            "interactions.csv.gz: line 2, column reward: '2': it is out of range;"
            " accepted: a number from 0 to 1, or nothing",
        ),
        (
            _impression(reward="nan"),
            "interactions.csv.gz: line 2, column reward: 'nan': it is out of range;"
            " accepted: a number from 0 to 1, or nothing",
        ),
        (
            _impression(watch_ratio="inf"),
            "interactions.csv.gz: line 2, column watch_ratio: 'inf': it is out of range;"
            " accepted: a finite number of at least 0, or nothing",
        ),
        (
            _impression(watch_ratio="1_0"),
            "interactions.csv.gz: line 2, column watch_ratio: '1_0': it is not a number;"
            " accepted: a finite number of at least 0, or nothing",
        ),
        (
            _impression(is_like="0.5"),
            "interactions.csv.gz: line 2, column is_like: '0.5': it is neither; accepted: 0 or 1, or nothing",
        ),
        (
            _impression(timestamp="24/04/2022"),
            "interactions.csv.gz: line 2, column timestamp: '24/04/2022': it is not such a time;"
            f" accepted: {TIME}",
        ),
    ],
)  # fmt: skip
def test_a_wrong_value_is_shown_with_its_place_the_reason_and_what_is_accepted(
    tmp_path: Path, changed: dict[str, str], text: str
) -> None:
    assert refused(tmp_path, **changed) == f"tiny/{text}"


def test_a_long_wrong_value_is_shown_in_part(tmp_path: Path) -> None:
    text = refused(tmp_path, **_users(f"6,,{'[' * 5_000}"))
    assert len(text) < 300
    assert "...: it is not JSON" in text


def test_a_wrong_value_is_found_in_its_line_also_after_a_cell_of_several_lines(tmp_path: Path) -> None:
    text = refused(tmp_path, users='id,name\n1,"a\nb"\nx,\n')
    assert text.startswith("tiny/users.csv.gz: line 4, column id: 'x'")


def test_an_unclosed_quote_is_refused(tmp_path: Path) -> None:
    text = refused(tmp_path, users='id,name\n1,a\n2,"b\n')
    assert text == "tiny/users.csv.gz: after line 2: unexpected end of data; accepted: CSV in UTF-8"


LONG = HISTORY + "1,0,10,1\n" * 1_000


def _spoilt(tmp_path: Path, content: bytes) -> str:
    there = folder(tmp_path)
    (there / "history.csv.gz").write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        import_dataset(there, tmp_path / "out" / "a.db")
    assert list((tmp_path / "out").iterdir()) == []
    return str(caught.value).replace(str(there), "tiny")


def test_a_file_that_is_no_gzip_is_refused(tmp_path: Path) -> None:
    assert _spoilt(tmp_path, HISTORY.encode()).endswith("accepted: a whole gzip file")


def test_a_gzip_file_that_ends_too_soon_is_refused(tmp_path: Path) -> None:
    assert _spoilt(tmp_path, gzip.compress(LONG.encode())[:-9]).endswith("accepted: a whole gzip file")


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(LONG.encode()))
    whole[20] ^= 0xFF
    assert _spoilt(tmp_path, bytes(whole)).startswith("tiny/history.csv.gz: after line")


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    text = _spoilt(tmp_path, gzip.compress("user_id,seq,video_id,reward\n1,-1,10,ñ\n".encode("latin-1")))
    assert text.endswith("accepted: CSV in UTF-8")
