"""What an error of Redis means: whether it passes, whether it is about one key, and how it is told."""

import re

from redis.exceptions import DataError, RedisError, ResponseError

# Answers of a Redis that comes back, by itself or by its operator's hand. Before Redis 7 a script's error has the code
# in the middle of its text.
_PASSING = re.compile(
    r"\b(LOADING|BUSY|OOM|READONLY|MISCONF|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|NOSCRIPT|NOAUTH|WRONGPASS|NOPERM)\b"
    r"|max number of clients reached|AUTH <password> called without any password"  # the client has classes for these
)


def passes(error: Exception) -> bool:
    """True where the same call may succeed later; False for what Redis refuses for good."""
    if isinstance(error, ResponseError):
        return _PASSING.search(_code(error)) is not None
    return isinstance(error, (RedisError, OSError)) and not isinstance(error, DataError)


def is_wrong_type(error: object) -> bool:
    """True where a key holds something else than ours: others are as good as before."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in _code(error)


def told(error: BaseException) -> str:
    """An error as text; its kind where it has none, as a timeout."""
    return str(error) or type(error).__name__


def _code(error: ResponseError) -> str:
    # The client takes the code off the text of those it has a class for.
    return f"{getattr(error, 'status_code', None) or ''} {error}"
