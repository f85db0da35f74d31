"""What a driver's error about the database means to us. No driver and no library is imported for it."""

from talentfeed.errors import LedgerMissingError, SourceError, StoreUnavailableError
from talentfeed.stores.mysql import OPERATORS, number

LEDGER = "talentfeed_ledger"


def fault(text: str, cause: BaseException) -> SourceError | StoreUnavailableError:
    """Of `cause`, told by `text`: what an operator must mend is a SourceError, what passes by itself is the other."""
    if LEDGER in text and any(part in text for part in ("no such table", "doesn't exist", "denied")):
        return LedgerMissingError(f"{text}; `talentfeed ledger --create` creates our ledger, or prints it to be run")
    if number(cause) in OPERATORS or "no such table" in text:
        return SourceError(text)
    return StoreUnavailableError(f"The database cannot be used now: {text}")
