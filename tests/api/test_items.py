"""Every field of a resume and of a challenge as it reaches the client: SPEC 9's two tables."""

from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import MEDIA, ServiceMaker, challenge_row, resume_row, with_bodies
from tests.ranking.factory import flow, make_snapshot, video

from talentfeed.api.app import create_app
from talentfeed.contracts import Snapshot
from talentfeed.snapshot import bodies

AT = 1_780_000_000.0  # 2026-05-28T20:26:40Z

FULL_RESUME = resume_row(
    10,
    7,
    creator_name='José Ñáñez "Pepe" </script> 🎬',
    url="https://cdn.example.org/10.mp4?a=1&b=\\2",
    image="https://cdn.example.org/10.jpg",
    description="Línea uno\nlínea dos",
    role_objectives=["actor", "cantante"],
)
FULL_CHALLENGE = challenge_row(
    90,
    8,
    creator_name="Estudio Sur",
    name="Casting",
    description="Buscamos voces",
    slug="casting-90",
    image="https://cdn.example.org/90.jpg",
    talent_type="creators",
    interest_areas=["music"],
    type_objectives=["hire"],
    created_at=AT,
    updated_at=AT + 60,
    status_at=AT + 120,
)


def catalogue() -> Snapshot:
    """Two videos and two flows with the bodies that a build makes."""
    return with_bodies(
        make_snapshot(videos=[video(10, creator=7), video(11)], flows=[flow(90, creator=8), flow(91, creator=9)]),
        [bodies.resume(row, MEDIA) for row in (FULL_RESUME, resume_row(11, None))],
        [bodies.challenge(row, MEDIA) for row in (FULL_CHALLENGE, challenge_row(91, 9, created_at=AT))],
    )


@pytest.fixture
def items(make_service: ServiceMaker) -> dict[int, dict[str, Any]]:
    with TestClient(create_app(make_service(catalogue()))) as client:
        answer = client.post("/api/search/total", json={"user_id": 1}).json()
    return {item["id"]: item for item in answer["body"]["items"]}


def test_a_resume_has_every_field_as_stored(items: dict[int, dict[str, Any]]) -> None:
    item = items[10]
    assert item.pop("pool") in {"VMP", "AU", "NU", "EXPLORE"}
    assert item == {
        "type": "resume",
        "id": 10,
        "user_id": 7,
        "name": FULL_RESUME["creator_name"],
        "user_name": FULL_RESUME["creator_name"],
        "slug": "jose-nanez-pepe-script-10",
        "user_slug": "jose-nanez-pepe-script",
        "description": "Línea uno\nlínea dos",
        "video": FULL_RESUME["url"],
        "image": "https://cdn.example.org/10.jpg",
        "avatar": "https://media.example.org/users/7/avatar-100.png",
        "main_objective": "be_discovered",
        "type_audience": "innovators",
        "type_audiences": ["innovators"],
        "interest_areas": [],
        "connected": "",
        "role_objectives": ["actor", "cantante"],
    }


def test_a_bare_resume_has_the_defaults(items: dict[int, dict[str, Any]]) -> None:
    item = items[11]
    assert (item["name"], item["user_name"], item["description"]) == ("", "", "")
    assert item["image"] == item["video"] == "https://cdn.example.org/11.mp4"
    assert item["role_objectives"] == []
    assert set(item) == set(items[10])


def test_a_challenge_has_every_field_as_stored(items: dict[int, dict[str, Any]]) -> None:
    item = items[90]
    assert item.pop("pool") in {"FW", "EXPLORE"}
    assert item == {
        "type": "challenge",
        "id": 90,
        "user_id": 8,
        "name": "Casting",
        "description": "Buscamos voces",
        "slug": "casting-90",
        "video_url": "https://cdn.example.org/90.mp4",
        "image": "https://cdn.example.org/90.jpg",
        "user_name": "Estudio Sur",
        "user_slug": "estudio-sur",
        "user_avatar": "https://media.example.org/users/8/avatar-100.png",
        "talent_type": "creators",
        "interest_areas": ["music"],
        "type_objectives": ["hire"],
        "top": True,
        "created_at": "2026-05-28T20:26:40Z",
        "updated_at": "2026-05-28T20:27:40Z",
        "status_at": "2026-05-28T20:28:40Z",
    }


def test_a_bare_challenge_has_the_defaults(items: dict[int, dict[str, Any]]) -> None:
    item = items[91]
    assert (item["name"], item["description"], item["slug"], item["user_name"]) == ("", "", "", "")
    assert item["image"] == item["video_url"]
    assert item["talent_type"] == "innovators"
    assert item["interest_areas"] == item["type_objectives"] == []
    assert item["updated_at"] == item["created_at"] == "2026-05-28T20:26:40Z"
    assert "status_at" not in item
