"""What the demo is made of: `data/words.json`. Each field's words come by falling popularity."""

import json
from pathlib import Path
from typing import Any

_WORDS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "words.json").read_text(encoding="utf-8"))

SKILLS: dict[str, list[str]] = _WORDS["skills"]  # by field: music, dance, ...
KNOWLEDGES: dict[str, list[str]] = _WORDS["knowledges"]
TOOLS: dict[str, list[str]] = _WORDS["tools"]
FIELDS = tuple(SKILLS)

LANGUAGES: list[str] = _WORDS["languages"]
HOBBIES: list[str] = _WORDS["hobbies"]
TALENTEES: list[str] = _WORDS["talentees"]
OBJECTIVES: list[str] = _WORDS["objectives"]
ROLES: list[str] = _WORDS["roles"]
INTEREST_AREAS: list[str] = _WORDS["interest_areas"]

FIRST_NAMES: list[str] = _WORDS["first_names"]
LAST_NAMES: list[str] = _WORDS["last_names"]
CITIES: list[dict[str, Any]] = _WORDS["cities"]  # city, country, weight, and how people write it

OPENINGS: list[str] = _WORDS["openings"]  # of a description; {skill} and {name} are filled in
SLUGS: list[str] = _WORDS["slugs"]  # of a video's file name; none has `test` or `prueba` as a whole word
FLOW_NAMES: list[str] = _WORDS["flow_names"]
TEST_SLUGS: list[str] = _WORDS["test_slugs"]
TEST_NAMES: list[str] = _WORDS["test_names"]
BAD_JSON: list[str] = _WORDS["bad_json"]
