"""The feed that docs/explain.md explains: made by the real kernel, from a record with a fixed id.

python -m tests.api.explain_example    prints the JSON that the page shows
"""

import json
from typing import Any

import msgspec
import numpy as np
from tests.api.conftest import MEDIA, resume_row, with_bodies
from tests.ranking.factory import NOW, make_snapshot, seen, user, video
from tests.ranking.signals import with_signals

from talentfeed.contracts import FeedRequest, Pool
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.explain import explain
from talentfeed.ranking.feed import initial_policy, prepare, rank
from talentfeed.ranking.presets import preset
from talentfeed.ranking.record import FeedRecord, replay, served_slots
from talentfeed.snapshot import bodies

_PEOPLE = (
    "Ana Pérez",
    "Luis Gómez",
    "Sofía Rojas",
    "Mateo Díaz",
    "Lucía Vargas",
    "Juan Mora",
    "Camila Ríos",
    "Leo Paz",
)
LEARNED = preset("learned")
_SKILLS = ("Salsa", "Bachata", "Guitar", "Singing", "Editing", "Acting", "Drawing", "Cooking", "Magic", "Chess")
_FEED_ID = "5c076bac31fd44c4be22cf8cd227de98"


def example() -> dict[str, Any]:
    """The explanation, as the call answers it under `body`."""
    snapshot = make_snapshot(
        videos=[
            video(
                1_000 + n,
                creator=100 + n % 8,
                age_days=10.5 + n if n % 4 == 0 else 50.0 + n,
                skills=[_SKILLS[n % 10], _SKILLS[(n * 3 + 1) % 10]],
                tools=["CapCut"] if n % 3 == 0 else [],
                city="Cali" if n % 2 else "Bogotá",
                views=7 * n % 90,
                rating=3.0 + n % 3,
                rating_count=n % 6,
            )
            for n in range(40)
        ],
        users=[user(42, city="Cali", skills=["Salsa"], history=[seen(1_000), seen(1_021)], connections=[103])],
        version="20260921T141320Z-3f0c2a9d81be",
    )
    named = [
        bodies.resume(resume_row(i, 100 + (i - 1_000) % 8, creator_name=_PEOPLE[(i - 1_000) % 8]), MEDIA)
        for i in snapshot.videos.id.tolist()
    ]
    snapshot = with_signals(with_bodies(snapshot, named, []), 8)
    ranker = prepare(snapshot, initial_policy(LEARNED), LEARNED)
    request = FeedRequest(
        endpoint="discover",
        pattern=(Pool.AFFINITY, Pool.AFFINITY, Pool.POPULAR),
        size=3,
        excluded_ids=np.array([1_005], np.int64),
        recent_creators=viewers.last_creators(snapshot, [1_005]),
        shown_flows=np.zeros(0, np.int32),
    )
    slate = rank(ranker, viewers.read(snapshot, 42), request, now=NOW, seed=int(_FEED_ID, 16))
    record = FeedRecord(
        feed_id=_FEED_ID,
        snapshot=snapshot.manifest.version,
        policy=ranker.policy.version,
        preset=ranker.preset.name,
        epsilon=ranker.epsilon,
        user_id=42,
        events=(),
        request=request,
        now=NOW,
        slots=served_slots(snapshot, slate),
    )
    found: dict[str, Any] = msgspec.to_builtins(explain(record, ranker, replay(record, ranker)))
    found["slots"] = found["slots"][1:2]  # one place is enough for a page
    return found


def layout(value: Any, indent: int = 0) -> str:
    """JSON with whatever fits a line on one line, floats at six digits."""
    flat = json.dumps(rounded(value), ensure_ascii=False)
    if len(flat) + indent <= 130 or not isinstance(value, dict | list):
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        inner = [f"{pad}{json.dumps(k)}: {layout(v, indent + 2)}" for k, v in value.items()]
        return "{\n" + ",\n".join(inner) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + layout(v, indent + 2) for v in value) + "\n" + " " * indent + "]"


def rounded(value: Any) -> Any:
    """The same with floats at six digits."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    print(layout({"statusCode": 200, "body": example()}))  # noqa: T201
