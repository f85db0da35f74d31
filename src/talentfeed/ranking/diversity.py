"""Part of stage 6: rule 4, distinct skills ÷ all skill mentions of a feed's videos stays at or above 3/5. SPEC 7.

With D distinct skills in M mentions, a video of m skills, u of them used in the feed, passes if
5 (D + m - u) >= 3 (M + m): with slack = 5 D - 3 M, if 5 u <= slack + 2 m. Whole numbers, so it is exact. The counts u
of all videos at once are kept as three masks, the binary digits of u.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from talentfeed.contracts import N_SKILLS, NO_TOKEN, Indices
from talentfeed.ranking.masks import Ground, Mask
from talentfeed.ranking.postings import Postings, invert

_DISTINCT, _MENTION = 5, 3  # 3/5 as whole numbers
_GAIN = _DISTINCT - _MENTION
_ALL_PASS = _MENTION * N_SKILLS  # from this slack on no video can fail
_MANY_SKILLS = 4_096  # up to which a small catalogue keeps every mask
_DENSE = 64  # a skill of one video in so many has its mask kept: these take no more room than the postings


@dataclass(frozen=True, slots=True)
class SkillIndex:
    """The videos' skills, arranged once a snapshot."""

    ground: Ground
    skills: Indices  # (n, N_SKILLS)
    by_skill: Postings  # skill -> rows
    dense: Sequence[Mask | None]  # by skill
    of_size: Sequence[Mask]  # by number of skills, 0..N_SKILLS

    @classmethod
    def of(
        cls,
        tokens: Indices,  # (n, N_TOKENS)
        n_skills: int,
        ground: Ground | None = None,
    ) -> Self:
        """Arrange the first columns of `Videos.tokens`."""
        ground = ground or Ground(len(tokens))
        skills = np.ascontiguousarray(tokens[:, :N_SKILLS])
        count = (skills != NO_TOKEN).sum(axis=1)
        listed = np.flatnonzero(skills.ravel() != NO_TOKEN)
        inverted = invert(skills.ravel()[listed], n_skills + 1)
        by_skill = Postings(inverted.start, listed[inverted.entries] // N_SKILLS)
        often = np.diff(by_skill.start) * _DENSE >= ground.n
        if ground.small and n_skills <= _MANY_SKILLS:
            often[:] = True
        return cls(
            ground,
            skills,
            by_skill,
            [ground.of_rows(by_skill.of(skill)) if kept else None for skill, kept in enumerate(often.tolist())],
            [ground.of(count == size) for size in range(N_SKILLS + 1)],
        )

    def having(self, skill: int) -> Mask:
        """The videos of a skill."""
        kept = self.dense[skill]
        return self.ground.of_rows(self.by_skill.of(skill)) if kept is None else kept


class Diversity:
    """Rule 4 during one feed."""

    __slots__ = ("_digits", "_failing", "_index", "_pending", "_slack", "_used")

    def __init__(self, index: SkillIndex) -> None:
        self._index = index
        self._used: set[int] = set()
        self._pending: list[int] = []  # used, not yet counted in `_digits`
        self._digits: tuple[Mask, Mask, Mask] = (index.ground.none, index.ground.none, index.ground.none)
        self._slack = 0
        self._failing: Mask | None = None

    def failing(self) -> Mask | None:
        """The videos that rule 4 passes over; None: it passes over none."""
        if self._slack >= _ALL_PASS or not self._used:
            return None
        if self._pending:
            ones, twos, fours = self._digits
            for skill in self._pending:
                having = self._index.having(skill)
                carry = ones & having
                ones = ones ^ having
                fours = fours | (twos & carry)
                twos = twos ^ carry
            self._digits = ones, twos, fours
            self._pending.clear()
            self._failing = None
        if self._failing is None:
            self._failing = self._count()
        return self._failing

    def _count(self) -> Mask:
        ones, twos, fours = self._digits
        failing = self._index.ground.none
        reached: dict[int, Mask] = {}
        for size in range(1, N_SKILLS + 1):
            least = (self._slack + _GAIN * size) // _DISTINCT + 1  # so many used skills are too many
            if least > size:
                continue
            videos = self._index.of_size[size]
            if least > 0:
                if least not in reached:
                    reached[least] = _at_least(least, ones, twos, fours)
                videos = videos & reached[least]
            failing = failing | videos
        return failing

    def admits(self, row: int) -> bool:
        """Whether rule 4 lets this one stand."""
        skills = self._skills(row)
        used = sum(skill in self._used for skill in skills)
        return not skills or _DISTINCT * used <= self._slack + _GAIN * len(skills)

    def take(self, row: int) -> None:
        """Serve a video."""
        skills = self._skills(row)
        new = [skill for skill in skills if skill not in self._used]
        self._used.update(new)
        self._pending += new
        self._slack += _DISTINCT * len(new) - _MENTION * len(skills)
        self._failing = None

    def _skills(self, row: int) -> list[int]:
        return [skill for skill in self._index.skills[row].tolist() if skill != NO_TOKEN]


def _at_least(least: int, ones: Mask, twos: Mask, fours: Mask) -> Mask:
    """Where a count of three binary digits, at most 5, is at least 1 to 5."""
    if least == 1:
        return ones | twos | fours
    if least == 2:
        return twos | fours
    if least == 3:
        return (ones & twos) | fours
    return fours if least == 4 else ones & fours
