"""Tables as they come → what the engine is given of them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from talentfeed.contracts import N_KNOWLEDGES, N_LANGUAGES, N_SKILLS, N_TOOLS

KINDS = ("skills", "knowledges", "tools", "languages")  # of lists: by kind 0..3, in the order of token ids
KEPT = (N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES)  # of a video, so many of each
LISTS = dict(zip(("skills", "knowledge", "tools", "languages"), KINDS, strict=True))  # as profiles call them

# What clients call it → what it is here. A like is a save.
CLIENT_TYPES = {
    "rating": "rating", "like": "save", "save": "save", "match": "match",
    "video_view": "view", "share": "share", "skip": "skip",
}  # fmt: skip


def _users(raw: pa.Table) -> Mapping[str, pa.Table]:
    """With numbers for `city` and `country`, whose spellings are `user_city` and `user_country`."""
    raw, texts = numbered(raw, "city", "country")
    spelled = {
        f"user_{column}": pa.table({column: np.arange(len(found), dtype=np.int32), f"{column}_typed": found})
        for column, found in texts.items()
    }
    return {"raw_users": raw, **spelled}


def _profiles(raw: pa.Table) -> Mapping[str, pa.Table]:
    """With a number for each list, -1 for none: its place in `raw_lists` (list, kind, texts as stored)."""
    raw, texts = numbered(raw, *LISTS)
    sizes = [len(texts[column]) for column in LISTS]
    for kind, column in enumerate(LISTS):
        place = raw.column_names.index(column)
        numbers = raw.column(place)
        later = pc.if_else(pc.less(numbers, 0), numbers, pc.add(numbers, pa.scalar(sum(sizes[:kind]), pa.int32())))
        raw = raw.set_column(place, column, later)
    lists = pa.table(
        {
            "list": np.arange(sum(sizes), dtype=np.int32),
            "kind": np.repeat(np.arange(len(sizes), dtype=np.int8), sizes),
            "texts": pa.chunked_array([texts[column] for column in LISTS], pa.string()),
        }
    )
    return {"raw_profiles": raw, "raw_lists": lists}


def _reports(raw: pa.Table) -> Mapping[str, pa.Table]:
    types = pa.table({"reported": list(CLIENT_TYPES), "interaction_type": list(CLIENT_TYPES.values())})
    return {"raw_activity_log": raw, "client_types": types}


_GIVEN: Mapping[str, Callable[[pa.Table], Mapping[str, pa.Table]]] = MappingProxyType(
    {"users": _users, "profiles": _profiles, "activity_log": _reports}
)


def given(name: str, rows: pa.Table) -> Mapping[str, pa.Table]:
    """Of one table of `source.read`, what the engine is given, by name: the rows as `raw_…`, and what helps."""
    return _GIVEN[name](rows) if name in _GIVEN else {f"raw_{name}": rows}


def numbered(table: pa.Table, *columns: str) -> tuple[pa.Table, Mapping[str, pa.Array]]:
    """A number in place of each of these columns' texts, -1 for null; → that, and the texts by number.

    What many rows say is then read once.
    """
    texts = {}
    for place, column in enumerate(table.column_names):
        if column in columns:
            encoded = table.column(column).cast(pa.string()).dictionary_encode()
            numbers = pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32()).fill_null(-1)
            table = table.set_column(place, column, numbers)
            texts[column] = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
    return table, texts
