"""Every field of a resume and of a challenge: SPEC 9."""

from typing import Any

import msgspec
import pytest

from talentfeed.snapshot import bodies

BASE = "https://media.test"


def video(**fields: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("user_id", "creator_name", "description", "image", "role_objectives"))
    return {**nothing, "id": 7, "url": "https://v.test/7.mp4", **fields}


def flow(**fields: Any) -> dict[str, Any]:
    names = ("user_id", "creator_name", "name", "slug", "description", "image", "talent_type", "interest_areas",
             "type_objectives", "created_at", "updated_at", "status_at")  # fmt: skip
    return {**dict.fromkeys(names), "id": 9, "url": "https://v.test/9.mp4", **fields}


def test_a_resume_has_every_field() -> None:
    row = video(
        user_id=3,
        creator_name="José Ñandú",
        description="Hola",
        image="https://i.test/7.png",
        role_objectives=["x"],
    )
    assert msgspec.json.decode(bodies.resume(row, BASE + "/")) == {
        "type": "resume",
        "id": 7,
        "user_id": 3,
        "name": "José Ñandú",
        "user_name": "José Ñandú",
        "slug": "jose-nandu-7",
        "user_slug": "jose-nandu",
        "description": "Hola",
        "video": "https://v.test/7.mp4",
        "image": "https://i.test/7.png",
        "avatar": "https://media.test/users/3/avatar-100.png",
        "main_objective": "be_discovered",
        "type_audience": "innovators",
        "type_audiences": ["innovators"],
        "interest_areas": [],
        "connected": "",
        "role_objectives": ["x"],
    }


def test_a_resume_of_nobody_has_empty_texts_and_its_video_as_image() -> None:
    body = msgspec.json.decode(bodies.resume(video(), BASE))
    empty = {"name": "", "user_name": "", "user_slug": "", "description": "", "avatar": "", "role_objectives": []}
    assert {k: body[k] for k in empty} == empty
    assert (body["user_id"], body["image"], body["slug"]) == (None, "https://v.test/7.mp4", "-7")


def test_a_challenge_has_every_field() -> None:
    row = flow(
        user_id=3, creator_name="Acme S.A.", name="Reto", slug="reto-9", description="d", image="i",
        talent_type="makers", interest_areas=["art"], type_objectives=["hire"], created_at=1_790_000_000.0,
        updated_at=1_790_000_001.5,
        status_at=1_790_000_002.0,
    )  # fmt: skip
    assert msgspec.json.decode(bodies.challenge(row, BASE)) == {
        "type": "challenge",
        "id": 9,
        "user_id": 3,
        "name": "Reto",
        "slug": "reto-9",
        "description": "d",
        "video_url": "https://v.test/9.mp4",
        "image": "i",
        "user_name": "Acme S.A.",
        "user_slug": "acme-s-a",
        "user_avatar": "https://media.test/users/3/avatar-100.png",
        "talent_type": "makers",
        "interest_areas": ["art"],
        "type_objectives": ["hire"],
        "top": True,
        "created_at": "2026-09-21T14:13:20Z",
        "updated_at": "2026-09-21T14:13:21.500000Z",
        "status_at": "2026-09-21T14:13:22Z",
    }


def test_a_challenge_falls_back_where_the_platform_has_nothing() -> None:
    body = msgspec.json.decode(bodies.challenge(flow(created_at=1_790_000_000.0), BASE))
    assert body["updated_at"] == body["created_at"] == "2026-09-21T14:13:20Z"
    assert (body["talent_type"], body["image"]) == ("innovators", "https://v.test/9.mp4")
    assert (body["name"], body["slug"], body["description"], body["interest_areas"]) == ("", "", "", [])
    assert "status_at" not in body


def test_type_comes_first_so_that_fields_can_be_appended() -> None:
    assert bodies.resume(video(), BASE).startswith(b'{"type":"resume",')
    assert bodies.challenge(flow(), BASE).startswith(b'{"type":"challenge",')


@pytest.mark.parametrize(
    ("name", "expected"),
    [("", ""), ("Ana María", "ana-maria"), ("  --¡Hola!  Tú ", "hola-tu"), ("李小龙", ""), ("A_b.C", "a-b-c")],
)
def test_a_slug_has_only_letters_digits_and_dashes(name: str, expected: str) -> None:
    assert bodies.slug(name) == expected
