"""A round can be made again, and over many rounds everything befalls everybody."""

from tests.faults import plan


def test_a_seed_makes_the_same_round_again_and_another_seed_another() -> None:
    assert plan.make(7) == plan.make(7)
    assert plan.make(7) != plan.make(8)


def test_of_two_hundred_rounds_in_a_row_one_has_the_backlog_wherever_they_begin() -> None:
    for first in (0, 57, 4_000):
        rounds = [plan.make(seed) for seed in range(first, first + plan.BACKLOG_EVERY)]
        assert [one.activities for one in rounds if one.backlog] == [200_000]
        assert sum(one.activities for one in rounds) >= 200_000


def test_every_kind_of_fault_comes_and_everybody_dies_and_freezes() -> None:
    faults = [fault for seed in range(400) for fault in plan.make(seed).faults]
    assert {fault.kind for fault in faults} == set(plan.KINDS)
    everybody = {*plan.SERVICES, *plan.SERVERS}
    for kind in ("kill", "freeze"):
        assert {fault.target for fault in faults if fault.kind == kind} == everybody
    assert {fault.target for fault in faults if fault.kind == "clock"} == {*plan.SERVICES, "redis"}
