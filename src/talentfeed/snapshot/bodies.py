"""The JSON body of a resume and of a challenge, encoded once: SPEC 9. `type` comes first, the API appends fields."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import msgspec

from talentfeed import times

_encode = msgspec.json.Encoder().encode
_OTHERS = re.compile(r"[^a-z0-9]+")


def slug(name: str) -> str:
    """A name as it stands in a URL: lower case letters and digits without accents, words joined by `-`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _OTHERS.sub("-", plain.lower()).strip("-")


def iso(seconds: float | None) -> str | None:
    """Seconds since 1970 UTC → ISO 8601, such as `2026-11-21T08:30:00Z`; None stays None."""
    if seconds is None:
        return None
    return times.iso(seconds)


def _avatar(media_base_url: str, user_id: int | None) -> str:
    return "" if user_id is None else f"{media_base_url.rstrip('/')}/users/{user_id}/avatar-100.png"


def resume(row: Mapping[str, Any], media_base_url: str) -> bytes:
    """A video's body, from its row of `Frames.videos`."""
    name = row["creator_name"] or ""
    spelled = slug(name)
    return _encode(
        {
            "type": "resume",
            "id": row["id"],
            "user_id": row["user_id"],
            "name": name,
            "slug": f"{spelled}-{row['id']}",
            "user_name": name,
            "user_slug": spelled,
            "description": row["description"] or "",
            "video": row["url"],
            "image": row["image"] or row["url"],
            "avatar": _avatar(media_base_url, row["user_id"]),
            "main_objective": "be_discovered",
            "type_audience": "innovators",
            "type_audiences": ["innovators"],
            "role_objectives": row["role_objectives"] or [],
            "interest_areas": [],
            "connected": "",
        }
    )


def challenge(row: Mapping[str, Any], media_base_url: str) -> bytes:
    """A flow's body, from its row of `Frames.flows`."""
    name = row["creator_name"] or ""
    created = iso(row["created_at"])
    body = {
        "type": "challenge",
        "id": row["id"],
        "user_id": row["user_id"],
        "name": row["name"] or "",
        "slug": row["slug"] or "",
        "description": row["description"] or "",
        "video_url": row["url"],
        "image": row["image"] or row["url"],
        "user_name": name,
        "user_slug": slug(name),
        "user_avatar": _avatar(media_base_url, row["user_id"]),
        "talent_type": row["talent_type"] or "innovators",
        "interest_areas": row["interest_areas"] or [],
        "type_objectives": row["type_objectives"] or [],
        "top": True,
        "created_at": created,
        "updated_at": iso(row["updated_at"]) or created,
    }
    if row["status_at"] is not None:
        body["status_at"] = iso(row["status_at"])
    return _encode(body)
