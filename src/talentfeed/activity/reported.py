"""What a client's event leaves behind, but for the activity itself: in `recent`, `touched` and `outcomes`."""

from collections.abc import Mapping
from typing import Any, Protocol

from talentfeed import impressions
from talentfeed.activity import codec, keys, packed
from talentfeed.activity.sessions import RECENT
from talentfeed.activity.shown import outcome
from talentfeed.contracts import Activity

RECENT_SECONDS = 7 * 86_400
TOUCHED = 20_000  # client events of a viewer whose items are not served again; builds know the older ones

# What scripts are told of them: how many events and bytes are kept, bytes of one, seconds.
KEPT = (RECENT, TOUCHED * packed.TOUCH.itemsize, packed.TOUCH.itemsize, RECENT_SECONDS)
Kept = tuple[bytes, bytes, bytes]  # what `recent`, `touched` and `outcomes` keep of an event


class EventLog(Protocol):
    """Where client events are committed when Redis dies with the process."""

    async def write_events(self, events: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Ledger key → row. One transaction; → the keys that were new.

        Raises StoreUnavailableError, RowsRefusedError; then nothing is written.
        """
        ...


def places(user_id: int) -> tuple[str, str, str]:
    """Where it is kept."""
    return keys.recent(user_id), keys.touched(user_id), impressions.outcomes(user_id)


def remembered(activity: Activity) -> Kept:
    """Raises UndecodableActivityError where it names no item."""
    event = codec.event(activity)
    return codec.encode_event(event), packed.touch(event), outcome(activity)
