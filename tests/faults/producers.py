"""Clients: they report what users do, remember what was acknowledged, and send again what was not."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.account import Account
from tests.faults.client import NO_ANSWER, call
from tests.faults.plan import Plan
from tests.faults.world import POISON, World

USERS = 40
ACCEPTED, UNAVAILABLE = 202, 503
LARGEST = 500  # activities in one call


@dataclass
class Producers:
    """All clients of one round. `done` tells them that nothing fails any more."""

    world: World
    account: Account
    plan: Plan
    rng: random.Random
    wrong: list[int]  # answers that no fault excuses

    async def run(self, *, clients: int = 4) -> None:
        """Send the plan's activities, spread over its time; each is acknowledged, or was given up, on return."""
        events = self._events()
        batches = []
        while events:
            size = LARGEST if self.plan.backlog else self.rng.choice((1, 3, 10, 25, 60))
            batches.append(events[:size])
            del events[:size]
        pause = clients * self.plan.seconds / max(1, len(batches))
        queue = iter(batches)
        seeds = [self.rng.getrandbits(32) for _ in range(clients)]
        await asyncio.gather(*(self._client(queue, pause, random.Random(seed)) for seed in seeds))

    def _events(self) -> list[dict[str, Any]]:
        names = [f"{self.plan.seed}-{n}" for n in range(self.plan.activities)]
        poisoned = set(self.rng.sample(range(len(names)), self.plan.poison))
        kinds = ("like", "share", "skip", "save", "video_view")
        return [
            {
                "event_type": self.rng.choice(kinds),
                "user_id": self.rng.randrange(1, USERS),
                "video_id": POISON if n in poisoned else self.rng.randrange(1_000, 9_000),
                "event_id": name,
            }
            for n, name in enumerate(names)
        ]

    async def _client(self, queue: Any, pause: float, rng: random.Random) -> None:
        for events in queue:
            await self._send(events, rng)
            await asyncio.sleep(rng.uniform(0.0, 2 * pause))

    async def _send(self, events: Sequence[dict[str, Any]], rng: random.Random) -> None:
        """Until it is acknowledged, or this client gives up: then nobody knows what became of it."""
        ids = [event["event_id"] for event in events]
        self.account.send(ids, round_=self.plan.seed)
        patient = self.plan.backlog or rng.random() < 0.8
        while True:
            service = rng.choice(self.world.services)
            within = 30.0 if self.plan.backlog else 4.0
            status = await call(service.port, "/api/activities", {"activities": list(events)}, within=within)
            if status == ACCEPTED:
                self.account.acknowledge(ids)
                if rng.random() < 0.9:
                    return
                # as if the answer had been lost: the repeat is acknowledged and adds nothing
            elif status not in {NO_ANSWER, UNAVAILABLE}:
                self.wrong.append(status)
            elif not patient:
                return
            await asyncio.sleep(rng.uniform(0.02, 0.2))

    async def feeds(self) -> None:
        """Feeds are recorded into the same lists, at most once, whatever dies."""
        rng = random.Random(self.rng.getrandbits(32))
        for _ in range(self.plan.feeds):
            service = rng.choice(self.world.services)
            status = await call(service.port, "/api/search/total", {"user_id": rng.randrange(1, USERS)})
            if status not in {200, NO_ANSWER}:  # whatever becomes of the stores, feeds go on
                self.wrong.append(status)
            await asyncio.sleep(rng.uniform(0.0, 2 * self.plan.seconds / self.plan.feeds))
