"""A few rounds of `make faults`: each kind of fault at least once, on real processes."""

import asyncio
from collections.abc import Iterator

import pytest
from tests.faults.plan import Fault, Plan
from tests.faults.rounds import Rounds
from tests.faults.world import World

ROUNDS = {
    "services die, and a flusher beside them": (
        Fault(0.3, "kill", "service-0", 0.2),
        Fault(0.4, "flush command", "flush", 1.5),
        Fault(0.8, "kill", "service-1", 0.0),
    ),
    "the database dies, then Redis": (Fault(0.4, "kill", "mariadb", 0.3), Fault(0.6, "kill", "redis", 0.3)),
    "the bastion dies, then freezes": (Fault(0.2, "kill", "bastion", 0.3), Fault(1.0, "freeze", "bastion", 1.0)),
    "all freeze, one of them in mid-write": (
        Fault(0.2, "freeze", "redis", 1.2),
        Fault(0.4, "freeze", "mariadb", 1.0),
        Fault(0.6, "freeze in mid-write", "service-2", 1.5),
    ),
    "the disk is full, then the database is read-only": (
        Fault(0.2, "full disk", "mariadb", 0.5),
        Fault(0.8, "read-only", "mariadb", 0.5),
    ),
    "clocks step, and somebody dies": (
        Fault(0.1, "clock", "redis", 0.0, -7200.0),
        Fault(0.1, "clock", "service-0", 0.0, 10_000.0),
        Fault(0.2, "clock", "service-1", 0.0, -10_000.0),
        Fault(0.5, "kill", "service-2", 0.0),
        Fault(0.9, "clock", "redis", 0.0, 3600.0),
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("faults"))
    try:
        world.start()
        yield world
    finally:
        world.stop()


@pytest.mark.timeout(1200)  # half a minute alone, but a machine may be busy with other things
def test_whatever_dies_nothing_acknowledged_is_lost_or_doubled_and_without_the_ledger_it_is(world: World) -> None:
    asyncio.run(every_round(world))


async def every_round(world: World) -> None:
    rounds = Rounds(world)
    for seed, (story, faults) in enumerate(ROUNDS.items()):
        plan = Plan(seed, activities=400, seconds=1.5, faults=faults, poison=seed % 2, junk=seed % 3 // 2, feeds=4)
        verdict = await rounds.run(plan)
        assert (rounds.stuck, rounds.wrong, verdict.lost, verdict.doubled) == ("", [], (), ()), story
        assert verdict.acknowledged > 0, story
        assert verdict.set_aside >= plan.junk, story
    verdict = await rounds.final()
    assert (verdict.lost, verdict.doubled) == ((), ())
    assert sum(n for (kind, _), n in rounds.faults.items() if kind == "kill") == 6

    floor, _ = rounds.ledger()
    assert floor > 1, "the ledger was not pruned: who came back late was not fenced off"

    world.switch_ledger_off()
    for seed in range(100, 110):
        faults = (Fault(0.3, "freeze in mid-write", "service-0", 3.0),)
        verdict = await rounds.run(Plan(seed, activities=600, seconds=3.0, faults=faults, poison=0, junk=0, feeds=0))
        if verdict.doubled:
            return
    pytest.fail("without the ledger nothing doubles: this test could not fail")
