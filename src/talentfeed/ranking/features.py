"""Stage 3: the 18 columns. SPEC 6. Eleven stand in the snapshot; the seven that move with viewer and clock are here.

All is elementwise, and sums are written out: a row's values have the same bits whatever rows stand beside it.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import (
    N_KNOWLEDGES,
    N_LANGUAGES,
    N_SKILLS,
    N_TOKENS,
    N_TOOLS,
    NEW_DAYS,
    NO_DATE,
    NO_TOKEN,
    SECONDS_PER_DAY,
    Bools,
    Bytes,
    Floats,
    Indices,
    Ints,
    Skills,
    Videos,
    Viewer,
)
from talentfeed.ranking.decay import RECENCY_DAYS, Decay, decayed_at
from talentfeed.ranking.noise import counters

MOVING = (1, 5, 6, 7, 8, 13, 17)  # recency, skill similarity, extended match, city, connection, influence, noise
SIMILARITY, MATCH = MOVING.index(5), MOVING.index(6)

_BOOST, _BOOST_DAYS = 1.5, 30.0
_COSINE_SHARE, _WEIGHT_SHARE = 0.6, 0.4
_BLANK_VIEWER, _BLANK_VIDEO = 0.5, 0.3
# points of one shared skill, knowledge, tool, language; a video's points together stay below 256
_POINTS = np.repeat(np.array((15, 12, 10, 8), np.uint8), (N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES))
_LANES = 16  # bytes in two 64-bit words: a video's points are added by two operations on words
_MOST_SHARED = 1 << 24  # bytes
_EACH_BYTE, _TOP_BYTE = np.uint64(0x0101010101010101), np.uint64(56)


@dataclass(frozen=True, slots=True)
class Ages:
    """What the clock makes of items, each (n,)."""

    recency: Floats  # exp(-d/28)
    boosted: Floats  # times the freshness boost
    new: Bools  # d < 45
    now: float


def ages(created_at: Floats, now: float) -> Ages:
    """SPEC 4. An item from the future is of age 0, one without a date is infinitely old."""
    days = np.maximum(now - created_at, 0.0)
    days /= SECONDS_PER_DAY
    days[created_at == NO_DATE] = np.inf
    recency = np.exp(days / -RECENCY_DAYS)
    return Ages(recency, recency * np.where(days <= _BOOST_DAYS, _BOOST, 1.0), days < NEW_DAYS, now)


@dataclass(frozen=True, slots=True)
class Facts:
    """What some videos are, arranged for the columns that move. All of one shape, but for what is said."""

    rows: Ints
    tokens: NDArray[np.intp]  # (..., _LANES)
    skills: NDArray[np.intp]  # (N_SKILLS, ...)
    inverse_norm: Floats  # 1 / length of the sum of its skills' embeddings; 0 without skills
    bare: Bools  # without skills
    city: NDArray[np.intp]
    creator: NDArray[np.intp]
    counter: NDArray[np.uint64]  # for the noise
    dated: Floats  # created_at; minus infinity without a date
    decayed: Floats  # exp((created_at - epoch)/28 days)
    shared: Bytes | None = None  # (tokens, n) the points of a token where a video has it; kept for few videos only

    def part(self, span: slice) -> "Facts":
        """Some of them, of a single list."""
        return Facts(
            self.rows[span],
            self.tokens[span],
            self.skills[:, span],
            self.inverse_norm[span],
            self.bare[span],
            self.city[span],
            self.creator[span],
            self.counter[span],
            self.dated[span],
            self.decayed[span],
        )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The videos, arranged for the viewer's columns. n videos, k skills."""

    similarity: Floats  # (k, k)
    tokens: Indices  # (n, _LANES)
    inverse_norm: Floats  # (n,), as the next five
    city: Indices
    creator: Indices
    counter: NDArray[np.uint64]
    dated: Floats
    decayed: Floats
    epoch: float  # the newest date
    points: Bytes  # by token id
    n_cities: int
    n_creators: int

    @classmethod
    def of(cls, videos: Videos, skills: Skills, n_creators: int) -> Self:
        """Arrange once a snapshot."""
        n = len(videos.id)
        tokens = np.zeros((n, _LANES), np.int32)
        tokens[:, :N_TOKENS] = videos.tokens
        points = np.zeros(int(tokens.max(initial=0)) + 1, np.uint8)
        for column, value in enumerate(_POINTS):
            points[tokens[:, column]] = value
        points[NO_TOKEN] = 0
        length = videos.skill_norm
        decay = Decay.of(videos.created_at)
        return cls(
            similarity=skills.similarity,
            tokens=tokens,
            inverse_norm=np.divide(1.0, length, out=np.zeros_like(length), where=length > 0),
            city=videos.city,
            creator=videos.creator,
            counter=counters(videos.id),
            dated=decay.dated,
            decayed=decay.decayed,
            epoch=decay.epoch,
            points=points,
            n_cities=int(videos.city.max(initial=0)) + 1,
            n_creators=n_creators,
        )

    def facts(self, rows: Ints) -> Facts:
        """Of these rows, which may be of any shape."""
        tokens = self.tokens.take(rows, axis=0).astype(np.intp)
        skills = np.ascontiguousarray(np.moveaxis(tokens[..., :N_SKILLS], -1, 0))
        return Facts(
            rows=rows,
            tokens=tokens,
            skills=skills,
            inverse_norm=self.inverse_norm.take(rows),
            bare=skills[0] == NO_TOKEN,
            city=self.city.take(rows).astype(np.intp),
            creator=self.creator.take(rows).astype(np.intp),
            counter=self.counter.take(rows),
            dated=self.dated.take(rows),
            decayed=self.decayed.take(rows),
        )

    def all_facts(self) -> Facts:
        """Of every video, with the table of points if it is of a fair size."""
        everyone = np.arange(len(self.tokens))
        facts = self.facts(everyone)
        if len(self.points) * len(everyone) > _MOST_SHARED:
            return facts
        shared = np.zeros((len(self.points), len(everyone)), np.uint8)
        for tokens in self.tokens.T:
            shared[tokens, everyone] += self.points[tokens]
        return replace(facts, shared=shared)


@dataclass(frozen=True, slots=True)
class Youth:
    """What the clock makes of some videos, as `Ages`, from what is known of them beforehand."""

    recency: Floats
    boosted: Floats
    new: Bools


def youth(facts: Facts, epoch: float, now: float) -> Youth:
    """Of some videos, at a time."""
    recency = decayed_at(facts.decayed, epoch, now)
    age = now - facts.dated
    boosted = recency * np.where(age <= _BOOST_DAYS * SECONDS_PER_DAY, _BOOST, 1.0)
    return Youth(recency, boosted, age < NEW_DAYS * SECONDS_PER_DAY)


@dataclass(frozen=True, slots=True)
class Taste:
    """A viewer, arranged for looking videos up in it."""

    skills: NDArray[np.complex128] | None  # by token: toward the viewer, and the viewer's weight; None: no skills
    points: Bytes  # by token: 0 where the viewer has it not
    cities: Floats | None  # by city; None: none
    creators: Floats | None  # by creator; None: none
    influence: float

    @classmethod
    def of(cls, catalogue: Catalogue, viewer: Viewer) -> Self:
        """Arrange once a request."""
        points = np.zeros_like(catalogue.points)
        tokens = viewer.tokens[viewer.tokens < len(points)]
        points[tokens] = catalogue.points[tokens]
        return cls(
            skills=_toward(catalogue, viewer) if viewer.has_skills else None,
            points=points,
            cities=_table(catalogue.n_cities, viewer.cities),
            creators=_table(catalogue.n_creators, viewer.connections),
            influence=viewer.influence,
        )

    def similarity(self, facts: Facts) -> Floats:
        """Column 5: clip(0.6 cosine + 0.4 sum of the viewer's weights of the video's skills, 0, 1)."""
        if self.skills is None:
            return np.full(facts.rows.shape, _BLANK_VIEWER)
        both = self.skills.take(facts.skills)
        total = both[0] + both[1]
        for one in both[2:]:
            total += one
        values: Floats = total.real * facts.inverse_norm
        values += total.imag
        np.minimum(values, 1.0, out=values)
        np.maximum(values, 0.0, out=values)
        np.copyto(values, _BLANK_VIDEO, where=facts.bare)
        return values

    def match(self, facts: Facts) -> Floats:
        """Column 6: points of what viewer and video share, at most 1."""
        if facts.shared is not None:
            mine = facts.shared.take(self.points.nonzero()[0], axis=0)
            points: Floats = np.divide(np.add.reduce(mine, axis=0, dtype=np.uint8), 100.0, dtype=np.float64)
            return np.minimum(points, 1.0, out=points)
        words = self.points.take(facts.tokens).view(np.uint64)
        total = words[..., 0] + words[..., 1]
        total *= _EACH_BYTE
        total >>= _TOP_BYTE
        values: Floats = total / 100.0
        return np.minimum(values, 1.0, out=values)

    def city(self, facts: Facts) -> Floats | None:
        """Column 7; None: 0 for all."""
        return None if self.cities is None else self.cities.take(facts.city)

    def connection(self, facts: Facts) -> Floats | None:
        """Column 8; None: 0 for all."""
        return None if self.creators is None else self.creators.take(facts.creator)


def moving(
    catalogue: Catalogue,
    viewer: Viewer,
    boosted: Floats,  # (n,) recency x freshness boost
    noise: Floats,  # (n,) feature 17
) -> Floats:
    """The columns MOVING of every video, (7, n) float64."""
    facts, taste = catalogue.facts(np.arange(len(boosted))), Taste.of(catalogue, viewer)
    z = np.zeros((len(MOVING), len(boosted)))
    z[0] = boosted
    z[1] = taste.similarity(facts)
    z[2] = taste.match(facts)
    for column, values in ((3, taste.city(facts)), (4, taste.connection(facts))):
        if values is not None:
            z[column] = values
    z[5] = viewer.influence
    z[6] = noise
    return z


def _toward(catalogue: Catalogue, viewer: Viewer) -> NDArray[np.complex128]:
    """By token: 0.6 x dot product with the viewer's unit vector, and as imaginary part 0.4 x the viewer's weight."""
    rows = catalogue.similarity[viewer.skills - 1]  # (s, k)
    toward = viewer.skill_weights @ rows  # (k,) dot products with the viewer's vector, not yet of length 1
    length = math.sqrt(max(float(toward[viewer.skills - 1] @ viewer.skill_weights), 0.0))
    table = np.zeros(len(toward) + 1, np.complex128)
    if length > 0:
        table.real[1:] = toward * (_COSINE_SHARE / length)
    table.imag[viewer.skills] = viewer.skill_weights * _WEIGHT_SHARE
    return table


def _table(size: int, codes: Indices) -> Floats | None:
    """1 at each of the codes, 0 elsewhere; None where there is none."""
    codes = codes[codes < size]
    if not len(codes):
        return None
    table = np.zeros(size)
    table[codes] = 1.0
    return table
