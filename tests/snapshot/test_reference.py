"""The build against the slow reading of SPEC 3-4, on generated dirt."""

import json
import math
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reference.scores import Catalogue, reference
from tests.snapshot.platform import CHALLENGE, NOW, RESUME, Tables, write

from talentfeed.contracts import HISTORY_KINDS, Snapshot
from talentfeed.snapshot.derived import derive
from talentfeed.snapshot.frames import clean, take
from talentfeed.snapshot.pack import pack
from talentfeed.snapshot.source import Source, open_sqlite, read
from talentfeed.snapshot.workbench import open_workbench

KINDS = (("skills", 0, 5), ("knowledges", 5, 8), ("tools", 8, 11), ("languages", 11, 14))

users = st.sampled_from([1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 99, None])
items = st.sampled_from([10, 10, 11, 11, 12, 13, 14, 15, 77, None])
flows = st.sampled_from([50, 51, 52, 77])
times = st.sampled_from(
    [
        None, "", "2026-09-20 10:00:00", "2026-09-20T10:00:00Z", "2026-09-19T08:30:00.250Z", "2026-09-01", "2026-07-01",
        "2026-09-18T10:00:00+02:00", "2026-08-22", "2026-08-25 00:00:00.5", "2025-01-01", "0000-00-00 00:00:00",
        "yesterday",
        "2031-01-01", "2026-09-21t14:15:00z", "20260917T103000Z", "2026-09-16 10:00:00 -0500",
        "2026-09-15 10:00:00 UTC", "1969-07-20", "infinity", "2026-09-18T10:00:00-05:00",
    ]
)  # fmt: skip
words = [
    "Dance",
    " dance ",
    "Música",
    "MÚSICA",
    "Straße",
    "STRASSE",
    "Rap",
    "",
    "  ",
    "C++",
    "Ünï",
    "a,b",
    'q"t',
    "[x]",
]
texts = st.lists(st.sampled_from([*words, "k1", "k2", "k3", "k4", "k5"]), max_size=8)
mixed = st.lists(st.sampled_from([*words, 3, None, True, 1.5, ["x"], {"a": "b"}]), max_size=5)
json_lists = st.one_of(
    texts.map(json.dumps),
    texts.map(lambda t: json.dumps(t, ensure_ascii=False)),
    mixed.map(json.dumps),
    st.sampled_from(
        [None, "", "null", "{", '["a"', '{"a": ["b"]}', '"text"', "7", "[]", " [ ] ", "['a']", '["a",]', "[NaN]"]
    ),
)
urls = st.sampled_from(
    [
        "https://v.test/a.mp4", "https://v.test/b.mp4", " https://v.test/a.mp4 ", "https://v.test/mi_prueba.mp4", None,
        "https://v.test/testimonio.mp4", "https://v.test/TEST-2.mp4", "https://v.test/test/c.mp4",
        "https://v.test/d.mp4?name=test", "https://bad.test/x.mp4", "https://v.test/una%20Pruéba.mp4",
        "https://v.test/latest.mp4", " ", "https://test.example.com", "https://v.test/prueba/", "https://v.test/1test2.mp4",
    ]
)  # fmt: skip
names = st.sampled_from(
    ["Reto", "Test", "una prueba!", "testimonios", "prueba2", "", None, "PRUÉBA final", "contest", "2test"]
)
cities = st.sampled_from(
    [
        None,
        "",
        "Bogota",
        "BOGOTÁ, D.C.",
        "Distrito Federal",
        "nuevo león",
        "Pueblo Raro",
        "N/A",
        "pueblo ráro",
        "Cali, Valle",
        "México",
        "Other-Perú",
    ]
)
countries = st.sampled_from([None, "Colombia", "MEXICO", "Wakanda", "null"])
deleted = st.sampled_from([None, None, None, None, "", "2026-01-01", "2026-09-10 10:00:00", "gone"])
ratings = st.one_of(st.sampled_from([0, -1, 1, 3, 4.5, 5, 7, None, "x", 1e300]), st.floats(0.01, 6))
statuses = st.sampled_from(["send", "send", "send", "draft", None])
reported = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(
            ["like", "save", "rating", "match", "video_view", "share", "skip", "feed_request"]
        ),
        "source": st.sampled_from(["client", "client", "client", "feed"]),
    },
    optional={
        "value": st.sampled_from([1, 3.5, 5, 9, 0, "4", "x", None, True]),
        "watch_ratio": st.sampled_from([0, 0.2, 0.5, 1.7, -1, None, "0.9", "x"]),
        "note": st.just('"client"'),
        "extra": st.sampled_from([{"reward": 1}, {"reward": 0.4}, {}, "x", None]),
    },
)

bad_json = st.sampled_from(['{"source": "client"', '{"source": "client", "value": NaN}', "{'source': 1}", "", None])


def rows(ids: list[int] | None = None, **columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    if ids is None:
        return st.lists(st.fixed_dictionaries(columns), min_size=10, max_size=30)
    # few examples, since each is a whole build: each is rich
    numbered = st.fixed_dictionaries({"id": st.sampled_from(ids), **columns})
    return st.lists(numbered, unique_by=lambda row: row["id"], min_size=len(ids) - 2, max_size=len(ids))


PLATFORMS = st.fixed_dictionaries(
    {
        "users": rows([1, 2, 3, 4, 5, 6, 7], city=cities, country=countries, created_at=times, deleted_at=deleted),
        "profiles": rows(
            user_id=users, skills=json_lists, knowledge=json_lists, tools=json_lists, languages=json_lists
        ),
        "resumes": rows(
            [10, 11, 12, 13, 14, 15], user_id=users, video=urls, skills=json_lists, knowledges=json_lists,
            tools=json_lists, languages=json_lists, role_objectives=json_lists, status=statuses, created_at=times,
            deleted_at=deleted,
        ),
        "challenges": rows(
            [50, 51, 52], user_id=users, video=urls, name=names, created_at=times, updated_at=times, status_at=times,
            interest_areas=json_lists, deleted_at=deleted, type_objectives=json_lists,
        ),
        "team_feedbacks": rows(user_id=users, model_id=items, value=ratings, created_at=times),
        "likes": rows(user_id=users, model_id=items, created_at=times, type=st.sampled_from(["save", "save", "other"])),
        "matches": rows(user_id=users, model_id=items, created_at=times),
        "views": rows(model_id=items, created_at=times, model_type=st.sampled_from([RESUME, RESUME, CHALLENGE])),
        "resumes_exhibited": rows(resume_id=items),
        "user_connections": rows(from_id=users, to_id=users, created_at=times),
        "activity_log": st.lists(
            st.one_of(
                st.fixed_dictionaries(
                    {"causer_id": users, "subject_id": items, "subject_type": st.just(RESUME), "created_at": times,
                     "properties": reported.map(json.dumps)}
                ),
                st.fixed_dictionaries(
                    {"causer_id": users, "subject_id": flows, "subject_type": st.just(CHALLENGE), "created_at": times,
                     "properties": st.one_of(reported.map(json.dumps), bad_json)}
                ),
            ),
            min_size=15,
            max_size=40,
        ).map(lambda found: [{"id": i, **row} for i, row in enumerate(found, 1)]),
    }
)  # fmt: skip


def built(tables: Tables, *, as_of: float | None, zone: str) -> tuple[Snapshot, Tables]:
    with tempfile.TemporaryDirectory() as folder:
        path, blacklist = Path(folder) / "platform.db", Path(folder) / "blacklist.csv"
        blacklist.write_text("# never\n\nhttps://bad.test/x.mp4\n", encoding="utf-8")
        stored = write(path, tables)
        with open_sqlite(path) as database:
            raw = list(read(database))
        with open_workbench(
            Source(database=partial(open_sqlite, path), db_timezone=zone), now=NOW, as_of=as_of
        ) as bench:
            for name, table in raw:
                take(bench, name, table)
            frames = clean(bench, blacklist=blacklist)
            return pack(bench, frames, derive(bench), media_base_url="https://m.test", as_of=as_of), stored


def segment(start: Any, values: Any, row: int) -> list[Any]:
    found: list[Any] = values[start[row] : start[row + 1]].tolist()
    return found


def agree(snapshot: Snapshot, expected: Catalogue) -> None:
    names, places = snapshot.manifest.tokens, snapshot.manifest.cities
    v, f, u = snapshot.videos, snapshot.flows, snapshot.users
    assert snapshot.manifest.watermark == expected.watermark
    assert dict(snapshot.manifest.skipped) == {k: n for k, n in expected.skipped.items() if n}

    assert v.id.tolist() == sorted(expected.videos)
    most = {
        c: max((x[c] for x in expected.videos.values()), default=0) + 1
        for c in ("rating_count", "like_count", "exhibited_count")
    }
    for row, key in enumerate(v.id.tolist()):
        want = expected.videos[key]
        for kind, low, high in KINDS:
            assert [names[t] for t in v.tokens[row, low:high] if t] == want["tokens"][kind]
        features = {
            0: want["engagement"], 2: want["quality"], 3: want["popularity"], 4: want["skill_diversity"],
            9: math.log1p(want["views"]) / 10, 10: want["avg_rating"] / 5, 11: want["skill_rarity"] / 100,
            12: want["gate"],
            14: want["rating_count"] / most["rating_count"], 15: want["like_count"] / most["like_count"],
            16: want["exhibited_count"] / most["exhibited_count"],
        }  # fmt: skip
        wanted = [features.get(column, 0.0) for column in range(18)]
        np.testing.assert_allclose(v.features[row], wanted, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(v.skill_norm[row], want["norm"], rtol=1e-9)
        assert (v.created_at[row], places[v.city[row]]) == (want["at"], want["city"])
    assert f.id.tolist() == sorted(expected.flows)
    for row, key in enumerate(f.id.tolist()):
        assert (f.created_at[row], places[f.city[row]]) == (expected.flows[key]["at"], expected.flows[key]["city"])

    n = snapshot.skills.n
    for (one, other), value in expected.similarity.items():
        a, b = (names.index(t, 1, n + 1) - 1 for t in (one, other))
        np.testing.assert_allclose(snapshot.skills.similarity[a, b], value, rtol=1e-9, atol=1e-9)
    assert len(expected.similarity) == n * n

    owners = [(x["user_id"], code) for part, codes in ((expected.videos, v.creator), (expected.flows, f.creator))
              for x, code in zip((part[k] for k in sorted(part)), codes.tolist(), strict=True)]  # fmt: skip
    for owner, code in owners:
        assert sum(c == code for _, c in owners) == (1 if owner is None else sum(o == owner for o, _ in owners))
    codes = {o: c for o, c in owners if o is not None}

    assert u.id.tolist() == sorted(expected.users)
    kind_of = {t: next(k for k, low, high in KINDS if t in v.tokens[:, low:high]) for t in range(1, len(names))}
    for row, key in enumerate(u.id.tolist()):
        assert places[u.city[row]] == expected.users[key]["city"]
        assert u.creator[row] == codes.get(key, -1)
        profile = [None if t == -1 else (kind_of[t], names[t]) for t in segment(u.profile_start, u.profile, row)]
        assert Counter(profile) == Counter(expected.profiles.get(key, []))
        history = zip(
            v.id[segment(u.history_start, u.history_video, row)].tolist(),
            segment(u.history_start, u.history_liked, row),
            segment(u.history_start, u.history_at, row),
            [HISTORY_KINDS[kind] for kind in segment(u.history_start, u.history_kind, row)],
            strict=True,
        )
        assert list(history) == expected.history.get(key, [])
        assert f.id[segment(u.flow_history_start, u.flow_history, row)].tolist() == expected.flow_history.get(key, [])
        connected = u.id[segment(u.connection_start, u.connection, row)].tolist()
        assert connected == sorted(expected.connections.get(key, []))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(PLATFORMS, st.sampled_from([None, None, 1_788_300_000.0]), st.sampled_from(["UTC", "UTC", "America/Bogota"]))
def test_a_snapshot_says_what_the_slow_reading_of_the_spec_says(tables: Tables, as_of: float | None, zone: str) -> None:
    snapshot, stored = built(tables, as_of=as_of, zone=zone)
    agree(
        snapshot,
        reference(stored, now=NOW, as_of=as_of, blacklist=frozenset({"https://bad.test/x.mp4"}), zone=zone),
    )
