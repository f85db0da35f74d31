"""The buffer between a feed that went out and Redis."""

from tests.activity.parts import feed

from talentfeed.activity.outbox import Outbox


def test_a_feed_is_pending_until_it_is_stored() -> None:
    box = Outbox(capacity=5)
    first, second = feed(1), feed(2)
    assert box.put(first) is None
    assert box.put(second) is None
    assert box.take(1) == [first]
    assert box.pending(1) == (first,)
    box.done([first])
    assert box.pending(1) == ()
    assert box.pending(2) == (second,)
    assert len(box) == 1


def test_the_oldest_waiting_feed_goes_when_it_is_full_and_the_one_being_stored_stays() -> None:
    box = Outbox(capacity=2)
    feeds = [feed(1, feed_id=f"{n:032x}") for n in range(4)]
    box.put(feeds[0])
    taken = box.take(1)
    box.put(feeds[1])
    box.put(feeds[2])
    assert box.put(feeds[3]) is feeds[1]
    assert box.pending(1) == (feeds[0], feeds[2], feeds[3])
    box.done(taken)
    assert box.take(9) == [feeds[2], feeds[3]]


def test_equal_feeds_are_not_one_feed() -> None:
    box = Outbox(capacity=5)
    one, same = feed(1), feed(1)
    box.put(one)
    box.put(same)
    box.done(box.take(1))
    assert len(box.pending(1)) == 1
    assert box.pending(1)[0] is same
