"""What errors of Redis mean, in the words that servers use."""

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, RedisError

from talentfeed.activity import answers


def answered(text: str) -> Exception:
    """The client's error for a server's answer."""
    error = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]
    assert isinstance(error, RedisError)
    return error


@pytest.mark.parametrize(
    "text",
    [
        "LOADING Redis is loading the dataset in memory",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "ERR Error running script (call to f_12): @user_script:1: -MISCONF Redis is configured to save",
        "NOREPLICAS Not enough good replicas to write. script: 12, on @user_script:4.",
        "CLUSTERDOWN The cluster is down",
        "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "BUSY Redis is busy running a script.",
        "NOPERM this user has no permissions to run the 'evalsha' command",
    ],
)
def test_an_answer_of_a_redis_that_comes_back_passes(text: str) -> None:
    error = answered(text)
    assert answers.passes(error)
    assert not answers.is_wrong_type(error)


@pytest.mark.parametrize("text", ["WRONGTYPE Operation against a key holding the wrong kind of value", "ERR syntax"])
def test_an_answer_that_would_be_the_same_again_does_not_pass(text: str) -> None:
    error = answered(text)
    assert not answers.passes(error)
    assert answers.is_wrong_type(error) == text.startswith("WRONGTYPE")


def test_a_lost_connection_passes_and_a_value_that_cannot_be_sent_does_not() -> None:
    assert answers.passes(RedisConnectionError())
    assert answers.passes(TimeoutError())
    assert not answers.passes(DataError("of type dict"))


def test_an_error_without_a_text_is_told_by_its_kind() -> None:
    assert answers.told(TimeoutError()) == "TimeoutError"
    assert answers.told(OSError("reset")) == "reset"
