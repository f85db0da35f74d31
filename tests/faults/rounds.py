"""One round: producers send while things die; then all is up again, what waits is flushed, and the rows are counted."""

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.account import Account, Verdict
from tests.faults.client import call
from tests.faults.plan import Fault, Plan
from tests.faults.producers import USERS, Producers
from tests.faults.world import ADMIN, SCHEMA, World

DRAIN_SECONDS = 300.0  # after which a round counts as stuck; what is missing then is lost


@dataclass
class Rounds:
    """Round after round on the same servers."""

    world: World
    account: Account = field(default_factory=Account)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, target) -> how often
    wrong: list[int] = field(default_factory=list)  # statuses that no fault excuses
    stuck: str = ""
    drained: float = 0.0  # seconds that the last round took from its faults' end until nothing waited
    _last_row: int = 0
    _set_aside: int = 0

    async def run(self, plan: Plan) -> Verdict:
        """→ what became of the round's activities, and what is doubled in all."""
        rng = random.Random(f"producers {plan.seed}")
        producers = Producers(self.world, self.account, plan, rng, self.wrong)
        self._add_junk(plan)
        if plan.backlog:
            await self._pile_up(producers)
        faults = [asyncio.create_task(self._befall(fault)) for fault in plan.faults]
        sending = [] if plan.backlog else [producers.run(), producers.feeds()]
        await asyncio.gather(*sending, *faults)
        began = time.monotonic()
        await self._drain()
        self.drained = time.monotonic() - began
        self._count(since=self._last_row)
        return self.account.verdict(round_=plan.seed)

    async def final(self) -> Verdict:
        """All rows once more: also what was committed late, below the rows of a later round."""
        for service in self.world.services:  # each has come back from the last that befell it
            await asyncio.to_thread(service.wait)
        await self.world.flush_commands_end()
        await self._drain()
        self.account.stored.clear()
        self._count(since=0)
        return self.account.verdict()

    async def _pile_up(self, producers: Producers) -> None:
        """All is sent while the database is away; some services and Redis die meanwhile as well."""
        await asyncio.to_thread(self.world.maria.kill)
        self.faults["kill", "mariadb"] += 1
        dying = asyncio.create_task(self._befall(Fault(5.0, "kill", "redis", 0.5)))
        await asyncio.gather(producers.run(), producers.feeds(), dying)
        await asyncio.to_thread(self.world.maria.start)

    async def _befall(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        world = self.world
        happened = True
        match fault.kind:
            case "kill":
                await world.kill(fault.target, fault.seconds)
            case "freeze":
                await world.freeze(fault.target, fault.seconds)
            case "freeze in mid-write":
                await world.freeze_in_mid_write(fault.target, fault.seconds)
            case "clock":
                await world.step_clock(fault.target, fault.amount)
            case "read-only":
                await world.read_only(fault.seconds)
            case "full disk":
                happened = await world.full_disk(fault.seconds)
            case "flush command":
                await world.flush_command(fault.seconds)
            case _:
                raise AssertionError(f"no such fault: {fault.kind}")
        self.faults[fault.kind, fault.target.split("-")[0]] += happened

    def _add_junk(self, plan: Plan) -> None:
        """Texts that are no activities, where activities are: they are set aside and keep nobody waiting."""
        rng = random.Random(f"junk {plan.seed}")
        for n in range(plan.junk):
            name, user = f"{plan.seed}-junk-{n}", rng.randrange(1, USERS)
            self.account.send([name], round_=plan.seed)
            with self.world.in_redis() as client, client.pipeline(transaction=True) as pipe:
                pipe.lpush(f"user_activity:{user}", f'"event_id":"{name}", and the rest was cut')
                pipe.persist(f"user_activity:{user}")
                pipe.zadd("waiting", {str(user): time.time()}, nx=True)
                pipe.execute()
            self.account.acknowledge([name])

    async def _drain(self) -> None:
        """Three flushers at once, until nothing waits and no batch is open."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while left := await asyncio.to_thread(self._waiting):
            if time.monotonic() > deadline:
                self.stuck = f"after {DRAIN_SECONDS:g} s without faults: {left}"
                return
            ports = [service.port for service in self.world.services]
            await asyncio.gather(*(call(port, "/api/admin/flush", None, within=60.0, headers=ADMIN) for port in ports))
            await asyncio.sleep(0.1)

    def _waiting(self) -> str:
        """Lists are looked for, and not only their index: what no index names is lost."""
        with self.world.in_redis() as client:
            lists = sum(client.exists(f"user_activity:{user}") for user in range(1, USERS))
            batches: Any = client.zcard("flushing")
        return f"{lists} users with activities, {batches} open batches" if lists or batches else ""

    def ledger(self) -> tuple[int, int]:
        """→ how often the floor was raised, and the rows of batches that the ledger still has."""
        execute = self.world.maria.execute
        floor = execute("SELECT `rows` FROM talentfeed_ledger WHERE batch_id = 'floor'", database=SCHEMA)
        rows = execute("SELECT COUNT(*) FROM talentfeed_ledger WHERE batch_id <> 'floor'", database=SCHEMA)
        return max((row[0] for row in floor), default=0), int(rows[0][0])

    def _count(self, *, since: int) -> None:
        rows = self.world.maria.execute(
            "SELECT id, JSON_VALUE(properties, '$.event_id') FROM activity_log "  # noqa: S608 - a number
            f"WHERE id > {since} AND log_name = 'app'",
            database=SCHEMA,
        )
        self.account.stored.update(str(event) for _, event in rows)
        self._last_row = max((row for row, _ in rows), default=self._last_row)
        with self.world.in_redis() as client:
            entries: Any = client.lrange("quarantined", self._set_aside, -1)
        self._set_aside += len(entries)
        self.account.set_aside.update(
            json.loads(entry)["payload"].split('"event_id":"')[1].split('"')[0] for entry in entries
        )
