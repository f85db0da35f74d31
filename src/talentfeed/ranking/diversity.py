"""Part of stage 6: rule 4, distinct skills ÷ all skill mentions of a feed's videos stays at or above 3/5. SPEC 7.

With D distinct skills in M mentions, a video of m skills, n of them new to the feed, passes if 5 (D + n) >= 3 (M + m).
That is slack + gain >= 0 with slack = 5 D - 3 M and gain = 5 n - 3 m, whole numbers: exact, and one comparison for all.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import N_SKILLS, NO_TOKEN, Bools, Indices
from talentfeed.ranking.postings import Postings, invert

_DISTINCT, _MENTION = 5, 3  # 3/5 as whole numbers
_NEUTRAL = 127  # gain of a video without skills: always passes
_ALL_PASS = _MENTION * N_SKILLS  # from this slack on no video can fail


@dataclass(frozen=True, slots=True)
class SkillIndex:
    """The videos' skills, arranged once a snapshot."""

    skills: Indices  # (n, N_SKILLS)
    gain: NDArray[np.int8]  # (n,) of each video in an empty feed
    by_skill: Postings  # skill -> rows

    @classmethod
    def of(
        cls,
        tokens: Indices,  # (n, N_TOKENS)
        n_skills: int,
    ) -> Self:
        """Arrange the first columns of `Videos.tokens`."""
        skills = np.ascontiguousarray(tokens[:, :N_SKILLS])
        count = (skills != NO_TOKEN).sum(axis=1)
        gain = np.where(count > 0, (_DISTINCT - _MENTION) * count, _NEUTRAL).astype(np.int8)
        listed = np.flatnonzero(skills.ravel() != NO_TOKEN)
        by_skill = invert(skills.ravel()[listed], n_skills + 1)
        return cls(skills, gain, Postings(by_skill.start, listed[by_skill.entries] // N_SKILLS))


class Diversity:
    """Rule 4 during one feed."""

    def __init__(self, index: SkillIndex) -> None:
        self._index = index
        self._gain: NDArray[np.int8] | None = None  # copied when first needed
        self._used: set[int] = set()
        self._pending: list[int] = []  # used, not yet taken off `_gain`
        self._slack = 0

    def passes(self) -> Bools | None:
        """Which videos rule 4 lets stand, (n,); None: all."""
        if self._slack >= _ALL_PASS:
            return None
        if self._gain is None:
            self._gain = self._index.gain.copy()
        for skill in self._pending:
            self._gain[self._index.by_skill.of(skill)] -= _DISTINCT
        self._pending.clear()
        return self._gain >= min(-self._slack, _NEUTRAL)

    def admits(self, row: int) -> bool:
        """Whether rule 4 lets this one stand."""
        skills = self._skills(row)
        new = sum(skill not in self._used for skill in skills)
        return not skills or self._slack + _DISTINCT * new - _MENTION * len(skills) >= 0

    def take(self, row: int) -> None:
        """Serve a video."""
        skills = self._skills(row)
        new = [skill for skill in skills if skill not in self._used]
        self._used.update(new)
        self._pending += new
        self._slack += _DISTINCT * len(new) - _MENTION * len(skills)

    def _skills(self, row: int) -> list[int]:
        return [skill for skill in self._index.skills[row].tolist() if skill != NO_TOKEN]
