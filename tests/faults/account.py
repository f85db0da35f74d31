"""What became of each activity: lost, doubled, or stored as promised."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lost`: acknowledged and nowhere. `doubled`: rows too many."""

    sent: int
    acknowledged: int
    stored: int  # rows of client-reported activities
    set_aside: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]  # an id as often as it is there too often


@dataclass
class Account:
    """Event ids of all rounds, as the producers know them and as they are found."""

    sent: dict[str, int] = field(default_factory=dict)  # event id -> round
    acknowledged: set[str] = field(default_factory=set)
    stored: Counter[str] = field(default_factory=Counter)  # rows of `activity_log`, also of served feeds
    set_aside: Counter[str] = field(default_factory=Counter)

    def send(self, event_ids: Iterable[str], *, round_: int) -> None:
        """They are about to be sent; they may be stored from now on."""
        self.sent.update(dict.fromkeys(event_ids, round_))

    def acknowledge(self, event_ids: Iterable[str]) -> None:
        """The service has answered 202."""
        self.acknowledged.update(event_ids)

    def verdict(self, *, round_: int | None = None) -> Verdict:
        """Over the activities of one round, or over all; what is doubled is judged over all rows there are."""
        ours = [event for event, sent_in in self.sent.items() if round_ is None or sent_in == round_]
        found = self.stored + self.set_aside
        return Verdict(
            sent=len(ours),
            acknowledged=sum(event in self.acknowledged for event in ours),
            stored=sum(self.stored[event] for event in ours),
            set_aside=sum(self.set_aside[event] for event in ours),
            lost=tuple(event for event in ours if event in self.acknowledged and not found[event]),
            doubled=tuple((Counter({event: n - 1 for event, n in found.items() if n > 1})).elements()),
        )
