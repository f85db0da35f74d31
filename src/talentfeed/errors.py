"""One hierarchy of errors. Each text gives the value, the reason and the way out."""


class TalentFeedError(Exception):
    """The root: whatever this service raises on purpose. Its text is fit for an operator, never holds a secret."""


class SettingsError(TalentFeedError):
    """One or more settings are wrong; the text lists all of them at once."""


class SourceError(TalentFeedError):
    """The platform's database cannot be read: it is absent, refuses us, or lacks a required table or column."""


class LedgerMissingError(SourceError):
    """The service's own table is not there, or not for this account: what waits to be stored waits until it is."""


class DatasetError(TalentFeedError):
    """A dataset folder given to `import` is not in the documented format."""


class LogError(TalentFeedError):
    """A log of choices that a policy is to be judged on is empty, damaged, or not in the documented format."""


class LeakError(TalentFeedError):
    """What a policy is judged on stands in what it was trained on: the figures would be worth nothing."""


class SnapshotError(TalentFeedError):
    """A snapshot is absent, damaged, of another schema, or did not pass its checks."""


class PolicyError(TalentFeedError):
    """A bandit's state is not finite or not of the expected shape."""


class PatternError(TalentFeedError):
    """A slot pattern or preset names an unknown pool, or is empty."""


class RequestMisfitError(TalentFeedError):
    """A viewer or a request names what the snapshot that it is ranked from does not have."""


class RowsRefusedError(TalentFeedError):
    """The database refuses one or more rows for what is in them: trying again does not help, leaving them out does."""


class BatchTooOldError(TalentFeedError):
    """The ledger may have forgotten whether it has this batch: what is in it goes on under a new id."""


class StoreUnavailableError(TalentFeedError):
    """Redis or the database does not answer now; the caller degrades or asks the client to come back."""

    def __init__(self, message: str, *, retry_after: int = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BastionError(TalentFeedError):
    """The SSH bastion does not let us through.

    `kind` names the fault in a word or two, without hosts or accounts, for probes. `fatal`: trying again does not
    help until somebody mends it.
    """

    def __init__(self, message: str, *, kind: str, fatal: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.fatal = fatal


class KernelMissingError(TalentFeedError):
    """The compiled part of the ranking is not there, or not of this source."""
