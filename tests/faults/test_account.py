"""The account sees what is lost and what is doubled, whoever it belongs to."""

from tests.faults.account import Account


def filled() -> Account:
    account = Account()
    account.send(["a", "b", "c"], round_=1)
    account.send(["d"], round_=2)
    account.acknowledge(["a", "b"])
    account.stored.update(["a", "b"])
    return account


def test_what_was_not_acknowledged_may_be_there_or_not() -> None:
    account = filled()
    for _ in range(2):
        verdict = account.verdict(round_=1)
        assert (verdict.sent, verdict.acknowledged, verdict.lost, verdict.doubled) == (3, 2, (), ())
        account.stored.update(["c"])


def test_what_was_acknowledged_and_is_nowhere_is_lost() -> None:
    account = filled()
    account.acknowledge(["d"])
    assert account.verdict(round_=1).lost == ()
    assert account.verdict(round_=2).lost == ("d",)
    assert account.verdict().lost == ("d",)
    account.set_aside.update(["d"])
    assert account.verdict().lost == ()


def test_what_is_there_too_often_is_doubled_also_of_another_round_unacknowledged_or_beside_being_set_aside() -> None:
    account = filled()
    account.stored.update(["a", "a", "c", "c", "served"])
    account.set_aside.update(["b"])
    assert sorted(account.verdict(round_=2).doubled) == ["a", "a", "b", "c"]
    account.stored.update(["served"])
    assert "served" in account.verdict().doubled
