"""Stage 3: the 18 columns. SPEC 6. Eleven stand in the snapshot; the seven that move with viewer and clock are here."""

from dataclasses import dataclass
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
    Floats,
    Indices,
    Ints,
    Skills,
    Videos,
    Viewer,
)
from talentfeed.ranking.postings import Postings, invert

MOVING = (1, 5, 6, 7, 8, 13, 17)  # recency, skill similarity, extended match, city, connection, influence, noise
SIMILARITY, MATCH = MOVING.index(5), MOVING.index(6)

_RECENCY_DAYS = 28.0
_BOOST, _BOOST_DAYS = 1.5, 30.0
_COSINE_SHARE, _WEIGHT_SHARE = 0.6, 0.4
_BLANK_VIEWER, _BLANK_VIDEO = 0.5, 0.3
# points of one shared skill, knowledge, tool, language
_POINTS = np.repeat((15.0, 12.0, 10.0, 8.0), (N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES)) / 100.0


@dataclass(frozen=True, slots=True)
class Ages:
    """What the clock makes of items, each (n,)."""

    recency: Floats  # exp(-d/28)
    boosted: Floats  # times the freshness boost
    new: Bools  # d < 45


def ages(created_at: Floats, now: float) -> Ages:
    """SPEC 4. An item from the future is of age 0, one without a date is infinitely old."""
    days = np.maximum(now - created_at, 0.0)
    days /= SECONDS_PER_DAY
    days[created_at == NO_DATE] = np.inf
    recency = np.exp(days / -_RECENCY_DAYS)
    return Ages(recency, recency * np.where(days <= _BOOST_DAYS, _BOOST, 1.0), days < NEW_DAYS)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The videos, arranged for the viewer's columns. n videos, k skills."""

    similarity: Floats  # (k, k)
    skills: NDArray[np.intp]  # (N_SKILLS, n) token ids
    inverse_norm: Floats  # (n,) 1 / length of the sum of its skills' embeddings; 0 without skills
    bare: Bools  # (n,) without skills
    city: Indices  # (n,)
    n_cities: int
    creators: Postings  # creator -> rows
    tokens: Postings  # token -> spans of the two beside
    token_row: Ints
    token_points: Floats

    @classmethod
    def of(cls, videos: Videos, skills: Skills, creators: Postings) -> Self:
        """Arrange once a snapshot."""
        flat = videos.tokens.ravel()
        listed = np.flatnonzero(flat != NO_TOKEN)
        columns = np.ascontiguousarray(videos.tokens[:, :N_SKILLS].T)
        tokens = invert(flat[listed], int(flat.max(initial=0)) + 1)
        place = listed[tokens.entries]
        length = videos.skill_norm
        return cls(
            similarity=skills.similarity,
            skills=columns.astype(np.intp),
            inverse_norm=np.divide(1.0, length, out=np.zeros_like(length), where=length > 0),
            bare=~(columns != NO_TOKEN).any(axis=0),
            city=videos.city,
            n_cities=int(videos.city.max(initial=0)) + 1,
            creators=creators,
            tokens=tokens,
            token_row=place // N_TOKENS,
            token_points=_POINTS[place % N_TOKENS],
        )


def moving(
    catalogue: Catalogue,
    viewer: Viewer,
    boosted: Floats,  # (n,) recency x freshness boost
    noise: Floats,  # (n,) feature 17
) -> Floats:
    """The columns MOVING of every video, (7, n) float64."""
    z = np.empty((len(MOVING), len(boosted)))
    z[0] = boosted
    z[1] = similarity(catalogue, viewer)
    z[2] = match(catalogue, viewer)
    z[3] = _table(catalogue.n_cities, viewer.cities).take(catalogue.city)
    z[4] = 0.0
    z[4, catalogue.creators.of_all(viewer.connections.tolist())] = 1.0
    z[5] = viewer.influence
    z[6] = noise
    return z


def similarity(catalogue: Catalogue, viewer: Viewer) -> Floats:
    """Column 5, (n,): clip(0.6 cosine + 0.4 sum of the viewer's weights of the video's skills, 0, 1)."""
    if not viewer.has_skills:
        return np.full(len(catalogue.bare), _BLANK_VIEWER)
    rows = catalogue.similarity[viewer.skills - 1]  # (s, k)
    toward = viewer.skill_weights @ rows  # (k,) dot products with the viewer's vector, not yet of length 1
    length = np.sqrt(max(float(toward[viewer.skills - 1] @ viewer.skill_weights), 0.0))
    table = np.zeros((2, len(toward) + 1))
    if length > 0:
        table[0, 1:] = toward * (_COSINE_SHARE / length)
    table[1, viewer.skills] = viewer.skill_weights * _WEIGHT_SHARE
    values: Floats = table[0].take(catalogue.skills).sum(axis=0)
    values *= catalogue.inverse_norm
    values += table[1].take(catalogue.skills).sum(axis=0)
    np.clip(values, 0.0, 1.0, out=values)
    values[catalogue.bare] = _BLANK_VIDEO
    return values


def match(catalogue: Catalogue, viewer: Viewer) -> Floats:
    """Column 6, (n,): points of what viewer and video share, at most 1."""
    spans = catalogue.tokens.spans_of_all(viewer.tokens.tolist())
    if not spans:
        return np.zeros(len(catalogue.bare))
    rows = np.concatenate([catalogue.token_row[span] for span in spans])
    points = np.concatenate([catalogue.token_points[span] for span in spans])
    return np.minimum(np.bincount(rows, weights=points, minlength=len(catalogue.bare)), 1.0)


def _table(size: int, codes: Indices) -> Floats:
    """1 at each of the codes, 0 elsewhere."""
    table = np.zeros(size)
    table[codes[codes < size]] = 1.0
    return table
