"""What the slate promises, watched on what really goes out: one feed in many is judged."""

from talentfeed.api.meters import Families
from talentfeed.contracts import CREATOR_WINDOW, Kind, Slate, Snapshot

EVERY = 256  # feeds; judging one takes some hundred microseconds
FIRST = 10  # is judged first: a start's first feeds do not wait for the modules that judging needs
_SHARES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 0.99, 1.0)


class Judge:
    """Counts shares (0–1) over a sample of feeds."""

    def __init__(self, families: Families) -> None:
        self._creators = families.spreads(
            "talentfeed_quality_creator_windows",
            f"Share of a feed's windows of {CREATOR_WINDOW} with as many creators, of one feed in {EVERY}",
            _SHARES,
        )()
        self._diversity = families.spreads(
            "talentfeed_quality_skill_diversity",
            f"Distinct skills over skill mentions of a feed's videos, of one feed in {EVERY}",
            _SHARES,
        )()
        self._new = families.spreads(
            "talentfeed_quality_new_content", f"Share of new videos in a feed, of one feed in {EVERY}", _SHARES
        )()
        self._until_next = FIRST

    def perhaps(self, slate: Slate, snapshot: Snapshot, now: float) -> None:
        """Judge this feed if it is its turn."""
        self._until_next -= 1
        if self._until_next <= 0 and any(slot.kind is Kind.VIDEO for slot in slate.slots):
            self._until_next = EVERY
            self._judge(slate, snapshot, now)

    def _judge(self, slate: Slate, snapshot: Snapshot, now: float) -> None:
        import numpy as np

        from talentfeed.evaluation.slates import measure

        found = measure(snapshot, [slate], np.zeros(1), now=now, with_history=0)
        if len(slate.slots) >= CREATOR_WINDOW:
            self._creators.observe(found.creator_windows)
        if found.skill_diversity > 0.0:  # 0: none of its videos has a skill
            self._diversity.observe(found.skill_diversity)
        self._new.observe(found.new_content)
