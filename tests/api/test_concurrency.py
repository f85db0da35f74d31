"""Many requests at the same time, good and bad, while snapshots are swapped under them."""

import asyncio
from collections import Counter

import httpx2
from tests.api.conftest import LocalService, ServiceMaker, admin, small_catalogue

from talentfeed.api.app import create_app

VERSIONS = ["small", "second", "third"]


async def storm(service: LocalService) -> list[tuple[str, httpx2.Response]]:
    """300 requests at once, a swap among every hundred."""
    await service.start()
    transport = httpx2.ASGITransport(app=create_app(service))
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:

            async def one(number: int) -> tuple[str, httpx2.Response]:
                if number % 100 == 50:
                    service.next_snapshot = small_catalogue(VERSIONS[1 + number // 100 % 2])
                    return "reload", await client.post("/api/search/reload", headers=admin())
                if number % 5 == 0:
                    return "bad", await client.post("/api/search/total", content=b'{"user_id": ' + b"[" * number)
                if number % 7 == 0:
                    event = {"event_type": "like", "user_id": number, "video_id": 1_000}
                    return "event", await client.post("/api/activities", json=event)
                return "feed", await client.post("/api/search/total", json={"user_id": number})

            return list(await asyncio.gather(*(one(number) for number in range(300))))
    finally:
        await service.stop()


def test_requests_at_the_same_time_do_not_disturb_each_other_nor_wait_for_a_swap(make_service: ServiceMaker) -> None:
    answers = asyncio.run(storm(make_service(small_catalogue())))
    found = Counter((kind, response.status_code) for kind, response in answers)
    assert set(found) == {("reload", 200), ("bad", 400), ("event", 202), ("feed", 200)}
    for kind, response in answers:
        if kind == "feed":
            body = response.json()["body"]
            assert body["snapshot"] in VERSIONS
            assert len(body["items"]) == 24
