"""SPEC 3-4 the slow way: rows as stored → what a snapshot must say. Plain Python, nothing shared with the build.

Only the names of the kinds of dirt and the city spellings (which are data) are the same.
"""

import csv
import json
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

RESUME = r"App\Interacpedia\Resumes\Resume"
CHALLENGE = r"App\Interacpedia\Challenges\Challenge"
DATA = Path(__file__).parents[2] / "src" / "talentfeed" / "snapshot" / "data"
KINDS = ("rating", "save", "match", "view", "share", "skip")
LIMITS = {"skills": 5, "knowledges": 3, "tools": 3, "languages": 3}
DAY = 86_400.0

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]


@dataclass
class Catalogue:
    """What the platform has, cleaned and scored."""

    users: dict[int, dict[str, Any]] = field(default_factory=dict)
    videos: dict[int, dict[str, Any]] = field(default_factory=dict)
    flows: dict[int, dict[str, Any]] = field(default_factory=dict)
    history: dict[int, list[tuple[int, bool, float, str]]] = field(default_factory=dict)
    flow_history: dict[int, list[int]] = field(default_factory=dict)
    connections: dict[int, set[int]] = field(default_factory=dict)
    profiles: dict[int, list[tuple[str, str] | None]] = field(default_factory=dict)  # None: a skill no video has
    similarity: dict[tuple[str, str], float] = field(default_factory=dict)
    watermark: float = 0.0
    skipped: Counter[str] = field(default_factory=Counter)


def whole(value: Any) -> int | None:
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    text = str(value).strip() if value is not None else ""
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else None


def text_of(value: Any) -> str | None:
    return (str(value).strip() or None) if value is not None else None


def seconds(value: Any, zone: str = "UTC") -> float | None:
    text = (text_of(value) or "").upper()
    if not re.match(r"[0-9]{4}(-|[0-9]{4}T)", text):
        return None
    text = re.sub(r" *(UTC|GMT)$", "+00:00", text)
    text = re.sub(r" +([+-][0-9:]+)$", r"\1", text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=ZoneInfo(zone))
    stamp = (when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    return stamp if stamp > 0 else None


def json_list(value: Any) -> tuple[list[str], bool, int]:
    """(texts, whether it is bad, how many elements are no text)."""
    if value is None or str(value).strip() == "null":
        return [], False, 0
    try:
        found = json.loads(str(value), parse_constant=_no_json)
    except ValueError:
        return [], True, 0
    if not isinstance(found, list):
        return [], True, 0
    texts = [x for x in found if isinstance(x, str)]
    return texts, False, len(found) - len(texts)


def _no_json(constant: str) -> None:
    raise ValueError(constant)


def _plain(text: str) -> str:
    letters = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    words = re.sub(r"[\W_]+", " ", letters.casefold()).strip()
    return re.sub(r"\b(\w) (?=\w\b)", r"\1", words)


def _spellings(name: str) -> dict[str, str]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))[1:]
    return {_plain(spelling or city): city for city, spelling in rows}


def _as_written(text: str) -> str:
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", text).casefold()).strip().title()


def city_of(city: str | None, country: str | None) -> str:
    towns, lands = _spellings("cities.csv"), _spellings("countries.csv")
    land = lands.get(_plain(country or ""), _as_written(country or ""))
    elsewhere = f"Other-{land}" if land else "Unknown"
    if not city or towns.get(_plain(city)) == "" or not _plain(city):
        return elsewhere
    if city.casefold().startswith("other-"):
        return city_of(None, city[6:])
    for name in (city, re.split(r"[,(-]", city)[0]):
        if _plain(name) in towns:
            return towns[_plain(name)] or elsewhere
    return city_of(None, city) if _plain(city) in lands else _as_written(city)


def same_spelling(names: Mapping[int, str]) -> dict[int, str]:
    """Of names that differ by accents alone the one with most of them, then the first."""
    return {
        key: min((n for n in names.values() if _plain(n) == _plain(name)), key=lambda n: (n.isascii(), -_marks(n), n))
        for key, name in names.items()
    }


def _marks(name: str) -> int:
    return sum(ord(c) > 127 for c in name)


def is_test(text: str | None) -> bool:
    letters = unicodedata.normalize("NFKD", text or "")
    plain = "".join(c for c in letters if not unicodedata.combining(c)).casefold()
    words = re.sub(r"%[0-9a-f]{2}", " ", plain)
    return bool(re.search(r"(?<![^\W_])(prueba|test)(?![^\W\d_])", words))


def file_name(url: str | None) -> str:
    address = re.sub(r"[?#].*", "", url or "", flags=re.DOTALL)
    return re.sub(r"^([a-z][\w+.-]*:)?//[^/]*", "", address, flags=re.IGNORECASE).rstrip("/").rsplit("/", 1)[-1]


class Cleaner:
    """One pass over all tables, in the order of SPEC 3."""

    def __init__(self, rows: Rows, *, now: float, as_of: float | None, blacklist: frozenset[str], zone: str) -> None:
        self.rows, self.now, self.as_of, self.blacklist, self.zone = rows, now, as_of, blacklist, zone
        self.out = Catalogue()
        self.times: list[float] = []

    def when(self, value: Any) -> tuple[float | None, str | None]:
        """(seconds or None, the kind of dirt or None)."""
        stamp = seconds(value, self.zone)
        if stamp is None:
            return None, "bad_date" if text_of(value) is not None else None
        if stamp > self.now + 300:
            return None, "future_date"
        self.times.append(stamp)
        return stamp, None

    def too_late(self, stamp: float | None) -> bool:
        return self.as_of is not None and stamp is not None and stamp > self.as_of

    def gone(self, row: Row) -> bool:
        """Deleted, by the catalogue's day."""
        return text_of(row["deleted_at"]) is not None and not self.too_late(seconds(row["deleted_at"], self.zone))

    def verdict(self, table: str, reason: str | None, dirt: Sequence[str | None]) -> bool:
        """Counts what was left out; True where the row stays."""
        if reason is not None:
            self.out.skipped[f"{table}.{reason}"] += 1
            return False
        self.out.skipped.update(f"{table}.{kind}" for kind in dirt if kind is not None)
        return True

    def users(self) -> None:
        self.everyone: dict[int, Row] = {}
        for row in self.rows["users"]:
            key = whole(row["id"])
            at, dirt = self.when(row["created_at"])
            deleted = self.gone(row)
            reason = (
                "missing_id" if key is None else "deleted" if deleted else "after_as_of" if self.too_late(at) else None
            )
            stays = self.verdict("users", reason, [dirt])
            if key is not None:
                self.everyone[key] = {"stays": stays, "reason": reason}
                if stays:
                    self.out.users[key] = {"city": city_of(text_of(row["city"]), text_of(row["country"]))}

        for key, city in same_spelling({key: u["city"] for key, u in self.out.users.items()}).items():
            self.out.users[key]["city"] = city

    def item_reason(self, row: Row, status: str, at: float | None) -> str | None:
        url, owner = text_of(row["video"]), whole(row["user_id"])
        if whole(row["id"]) is None:
            return "missing_id"
        if self.gone(row):
            return "deleted"
        if text_of(row["status"]) != status:
            return "not_published"
        if url is None:
            return "without_url"
        if url in self.blacklist:
            return "blacklisted"
        if is_test(file_name(url)):
            return "test_upload"
        if owner is not None and owner in self.everyone and not self.everyone[owner]["stays"]:
            return "creator_after_as_of" if self.everyone[owner]["reason"] == "after_as_of" else "creator_deleted"
        if owner is not None and owner not in self.everyone:
            return "dangling_creator"
        return "after_as_of" if self.too_late(at) else None

    def lists(self, row: Row, names: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
        found: dict[str, list[str]] = {}
        dirt: list[str] = []
        for name in names:
            found[name], bad, others = json_list(row[name])
            dirt += ["bad_json"] * bad + ["not_text"] * others
        return found, dirt

    def items(self) -> None:
        self.video_ids: dict[int, bool] = {}
        for row in self.rows["resumes"]:
            at, bad_date = self.when(row["created_at"])
            found, dirt = self.lists(row, [*LIMITS, "role_objectives"])
            owner = whole(row["user_id"])
            bad_owner = "bad_creator_id" if owner is None and text_of(row["user_id"]) else None
            stays = self.verdict("resumes", self.item_reason(row, "send", at), [bad_date, bad_owner, *dirt])
            key = whole(row["id"])
            if key is not None:
                self.video_ids[key] = stays
            if stays and key is not None:
                city = self.out.users[owner]["city"] if owner is not None else "Unknown"
                self.out.videos[key] = {"user_id": owner, "at": at or 0.0, "city": city, "lists": found, "views": 0}
        self.flow_ids: dict[int, bool] = {}
        candidates: list[tuple[Row, float | None, str | None, list[str | None]]] = []
        for row in self.rows["challenges"]:
            at, bad_date = self.when(row["created_at"])
            late = [self.when_uncounted(row[c]) for c in ("updated_at", "status_at")]
            found, dirt = self.lists(row, ["interest_areas", "type_objectives"])
            reason = self.item_reason(row, "published", at) or ("test_upload" if is_test(row["name"]) else None)
            candidates.append((row, at, reason, [bad_date, *late, *dirt]))
        newest: dict[str, tuple[float, int]] = {}
        for row, at, reason, _ in candidates:
            url, key = text_of(row["video"]), whole(row["id"])
            if reason is None and url is not None and key is not None:
                newest[url] = max(newest.get(url, (-1.0, -1)), (at or 0.0, key))
        for row, at, reason, flaws in candidates:
            url, key, owner = text_of(row["video"]), whole(row["id"]), whole(row["user_id"])
            why = reason
            if why is None and url is not None and newest[url][1] != key:
                why = "duplicate_url"
            stays = self.verdict("challenges", why, flaws)
            if key is not None:
                self.flow_ids[key] = stays
            if stays and key is not None:
                city = self.out.users[owner]["city"] if owner is not None else "Unknown"
                self.out.flows[key] = {"user_id": owner, "at": at or 0.0, "city": city}

    def when_uncounted(self, value: Any) -> str | None:
        _, dirt = self.when(value)
        if dirt is None and text_of(value) is not None:
            self.times.pop()  # only creation dates are the input's clock
        return dirt

    def facts(self) -> None:
        """Interactions as stored: (table, log id, user, item, is flow, type, rating, watch ratio, at)."""
        self.kept: list[tuple[str, int, int, int, bool, str, float, float, float | None]] = []
        for table, column, value, kind in (
            ("team_feedbacks", "type", "ranking_resume", "rating"),
            ("likes", "type", "save", "save"),
            ("matches", "status", "accepted", "match"),
        ):
            for row in self.rows[table]:
                if text_of(row[column]) == value:
                    ids = row["user_id"], row["model_id"]
                    self.fact(table, row, ids, kind, value=row.get("value"), ratio=None, is_flow=False)
        types = {"like": "save", "video_view": "view"}
        for row in self.rows["activity_log"]:
            stored = text_of(row["properties"]) or ""
            if not stored or ('"client"' not in stored and row["log_name"] != "app"):
                continue
            try:
                said = json.loads(stored, parse_constant=_no_json)
            except ValueError:
                self.when(row["created_at"])
                self.out.skipped["activity_log.bad_json"] += 1
                continue
            kind = types.get(said.get("event_type"), said.get("event_type"))
            if said.get("source") != "client" or row["subject_type"] not in (RESUME, CHALLENGE):
                continue
            if kind not in ("rating", "save", "match", "view", "share", "skip"):
                continue
            ids, on_flow = (row["causer_id"], row["subject_id"]), row["subject_type"] == CHALLENGE
            value, ratio = said.get("value"), said.get("watch_ratio")
            extra = said.get("extra")
            if ratio is None and isinstance(extra, dict) and _number(extra.get("reward")) is not None:
                ratio = extra["reward"]
            self.fact("activity_log", row, ids, kind, value=value, ratio=ratio, is_flow=on_flow)

    def fact(
        self, table: str, row: Row, ids: tuple[Any, Any], kind: str, *, value: Any, ratio: Any, is_flow: bool
    ) -> None:
        at, bad_date = self.when(row["created_at"])
        who, what = whole(ids[0]), whole(ids[1])
        rating = {"save": 3.0, "match": 4.0}.get(kind, 2.0)
        reason, high = None, None
        if kind == "rating":
            number = _number(value)
            if value is None:
                reason = "missing_rating"
            elif number is None:
                reason = "rating_not_a_number"
            elif number <= 0:
                reason = "rating_not_positive"
            else:
                rating, high = min(number, 5.0), "rating_above_5" if number > 5 else None
        watched = _number(ratio)
        bad_ratio = None
        if watched is None or watched < 0:
            watched, bad_ratio = -1.0, "bad_watch_ratio" if ratio is not None else None
        known = self.flow_ids if is_flow else self.video_ids
        if reason is None:
            if who is None or what is None:
                reason = "missing_id"
            elif who not in self.out.users:
                reason = "dangling_user"
            elif what not in known:
                reason = "dangling_item"
            elif self.too_late(at):
                reason = "after_as_of"
            elif not known[what]:
                reason = "on_item_not_served"
        if self.verdict(table, reason, [bad_date, high, bad_ratio]) and who is not None and what is not None:
            number_of_row = whole(row.get("id")) or 0
            self.kept.append((table, number_of_row, who, what, is_flow, kind, rating, watched, at))

    def graph(self) -> None:
        pairs = set()
        for row in self.rows["user_connections"]:
            if text_of(row["status"]) != "accepted":
                continue
            at, dirt = self.when(row["created_at"])
            one, other = whole(row["from_id"]), whole(row["to_id"])
            reason = None
            if one is None or other is None:
                reason = "missing_id"
            elif one not in self.out.users or other not in self.out.users:
                reason = "dangling_user"
            elif one == other:
                reason = "with_oneself"
            elif self.too_late(at):
                reason = "after_as_of"
            if self.verdict("user_connections", reason, [dirt]):
                pairs |= {(one, other), (other, one)}
        for one, other in pairs:
            if one is not None and other is not None:
                self.out.connections.setdefault(one, set()).add(other)

    def counted(self) -> None:
        self.views: Counter[int] = Counter()
        self.exhibited: Counter[int] = Counter()
        for table, column, into in (
            ("views", "model_id", self.views),
            ("resumes_exhibited", "resume_id", self.exhibited),
        ):
            for row in self.rows[table]:
                if table == "views" and text_of(row["model_type"]) != RESUME:
                    continue
                at, dirt = self.when(row.get("created_at"))
                item = whole(row[column])
                reason = None
                if item is None:
                    reason = "missing_id"
                elif item not in self.video_ids:
                    reason = "dangling_item"
                elif self.too_late(at):
                    reason = "after_as_of"
                elif not self.video_ids[item]:
                    reason = "on_item_not_served"
                if self.verdict(table, reason, [dirt]) and item is not None:
                    into[item] += 1


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def reference(
    rows: Rows, *, now: float, as_of: float | None = None, blacklist: frozenset[str] = frozenset(), zone: str = "UTC"
) -> Catalogue:
    """Everything that a snapshot of these rows must hold."""
    c = Cleaner(rows, now=now, as_of=as_of, blacklist=blacklist, zone=zone)
    c.users()
    c.items()
    c.facts()
    c.graph()
    c.counted()
    limit = now if as_of is None else as_of
    c.out.watermark = max((t for t in c.times if t <= limit), default=0.0)
    interactions = _interactions(c)
    _score(c, interactions)
    _profiles(c)
    return c.out


def _interactions(c: Cleaner) -> list[tuple[int, int, str, float, float, float]]:
    """(user, video, type, rating, watch ratio, at); fills the histories."""
    recent = c.out.watermark - 30 * DAY
    platform, reported = [], defaultdict(list)
    flows: dict[int, dict[int, float]] = defaultdict(dict)
    for table, log_id, user, item, is_flow, kind, rating, ratio, at in c.kept:
        if kind in ("view", "share", "skip") and (at is None or at < recent):
            continue
        when = at or 0.0
        if is_flow:
            flows[user][item] = max(flows[user].get(item, 0.0), when)
        elif table == "activity_log":
            reported[user, item, kind].append((when, log_id, rating, ratio))
        else:
            platform.append((user, item, kind, rating, ratio, when))
    outdated: set[int] = set()  # places of ratings that a client's newer one replaces
    for (user, item, kind), several in reported.items():
        when, _, rating, _ = max(several)
        there = [i for i, fact in enumerate(platform) if fact[:3] == (user, item, kind)]
        there.sort(key=lambda i: (platform[i][5], platform[i][3]))
        if not there:
            platform.append((user, item, kind, rating, max(s[3] for s in several), when))
        elif when > platform[there[-1]][5]:
            platform[there[-1]] = (user, item, kind, rating, -1.0, when)
            outdated.update(there[:-1] if kind == "rating" else [])
    for i, (user, item, kind, rating, ratio, when) in enumerate(platform):
        liked = kind in ("save", "match") or (kind == "rating" and rating >= 3 and i not in outdated)
        liked = liked or (kind == "view" and ratio >= 0.5)
        c.out.history.setdefault(user, []).append((item, liked, when, kind))
    for events in c.out.history.values():
        events.sort(key=lambda h: (-h[2], -h[0], not h[1], KINDS.index(h[3])))
    for user, found in flows.items():
        c.out.flow_history[user] = sorted(found, key=lambda f: (-found[f], -f))
    return platform


def _score(c: Cleaner, interactions: list[tuple[int, int, str, float, float, float]]) -> None:
    out = c.out
    holders: Counter[str] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for video in out.videos.values():
        video["tokens"] = {
            kind: list(dict.fromkeys(t for raw in video["lists"][kind] if (t := raw.strip().casefold())))[:limit]
            for kind, limit in LIMITS.items()
        }
        skills = video["tokens"]["skills"]
        holders.update(skills)
        together.update((a, b) for a in skills for b in skills)
    rows = {a: {b: together[a, b] for b in holders if together[a, b]} for a in holders}
    length = {a: math.sqrt(sum(n * n for n in rows[a].values())) for a in holders}
    for a in holders:
        for b in holders:
            dot = sum(n * rows[b].get(s, 0) for s, n in rows[a].items())
            out.similarity[a, b] = dot / (length[a] * length[b])
    for key, v in out.videos.items():
        ratings = [r for _, item, kind, r, _, _ in interactions if item == key and kind == "rating"]
        v["views"], v["exhibited_count"] = c.views[key], c.exhibited[key]
        v["rating_count"] = len(ratings)
        v["avg_rating"] = math.fsum(ratings) / len(ratings) if ratings else 0.0
        v["like_count"] = sum(item == key and kind == "save" for _, item, kind, *_ in interactions)
        v["connection_count"] = sum(item == key and kind == "match" for _, item, kind, *_ in interactions)
    views = {key: math.log1p(v["views"]) for key, v in out.videos.items()}
    matches = {key: math.log1p(v["connection_count"]) for key, v in out.videos.items()}
    for key, v in out.videos.items():
        r, n, tokens = v["avg_rating"], v["rating_count"], v["tokens"]
        v["engagement"] = 0.35 * _norm01(views, key) + 0.40 * r / 5 + 0.25 * _norm01(matches, key)
        v["quality"] = 0.7 * r * n / (n + 10) + 0.3 * matches[key]
        v["popularity"] = 0.40 * views[key] + 0.35 * r + 0.25 * matches[key]
        v["skill_diversity"] = (len(tokens["skills"]) + len(tokens["knowledges"]) + len(tokens["tools"])) / 15
        shares = [1 / (holders[s] + 1) for s in tokens["skills"]]
        v["skill_rarity"] = 100 * sum(shares) / len(shares) if shares else 0.0
        v["gate"] = r >= 3 or v["views"] >= 20 or v["connection_count"] >= 2 or n >= 2
        v["norm"] = math.sqrt(sum(out.similarity[a, b] for a in tokens["skills"] for b in tokens["skills"]))


def _norm01(values: Mapping[int, float], key: int) -> float:
    low, high = min(values.values()), max(values.values())
    return (values[key] - low) / (high - low) if high > low else 0.0


def _profiles(c: Cleaner) -> None:
    known = {(kind, t) for v in c.out.videos.values() for kind, texts in v["tokens"].items() for t in texts}
    found: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for row in c.rows["profiles"]:
        user = whole(row["user_id"])
        lists, dirt = c.lists({**row, "knowledges": row["knowledge"]}, list(LIMITS))
        reason = "missing_id" if user is None else None if user in c.out.users else "dangling_user"
        if c.verdict("profiles", reason, dirt) and user is not None:
            found[user] |= {(k, t) for k, raws in lists.items() for raw in raws if (t := raw.strip().casefold())}
    for user, mentions in found.items():
        c.out.profiles[user] = [m if m in known else None for m in mentions if m in known or m[0] == "skills"]
