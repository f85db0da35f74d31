"""A snapshot's items arranged for the compiled kernel, once a snapshot: records by row, and lists by creator, token and
date. Shapes: n videos, k skills."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import N_SKILLS, N_TOKENS, NO_DATE, NO_TOKEN, Bytes, Floats, Indices, Ints, Snapshot
from talentfeed.ranking import features, native
from talentfeed.ranking.noise import counters

_DENSE = 64  # a token of one video in so many is kept as a mask too: that takes no more room than its list


@dataclass(frozen=True, slots=True)
class Arranged:
    """Arrays that `native.Catalogue` points to; see `kernel.h` for each."""

    videos: NDArray[np.void]  # (n,) native.VIDEO
    flows: NDArray[np.void]  # native.FLOW
    video_ids: Ints
    flow_ids: Ints
    skills: Floats  # (k, k)
    points: Bytes
    by_creator: tuple[Ints, Indices]  # videos: where each creator's begin, and rows
    by_token: tuple[Ints, Indices]
    by_date: Indices  # (n,) oldest first
    dates: Floats  # (n,) ascending, minus infinity where there is none
    of_size: NDArray[np.uint64]  # (N_SKILLS + 1, words)
    dense: NDArray[np.uint64]  # (kept, words)
    dense_of: Indices  # by token
    epoch: float
    n_creators: int
    n_cities: int

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """Arrange once a snapshot."""
        videos, flows = snapshot.videos, snapshot.flows
        n = len(videos.id)
        epoch = max(float(listed.created_at.max(initial=NO_DATE)) for listed in (videos, flows))
        dated = features.dated(videos.created_at)
        length = videos.skill_norm
        records = np.zeros(n, native.VIDEO)
        records["tokens"] = videos.tokens
        records["city"], records["creator"] = videos.city, videos.creator
        records["inverse_norm"] = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
        records["dated"], records["decayed"] = dated, features.decayed(dated, epoch)
        records["counter"] = counters(videos.id)
        flow_records = np.zeros(len(flows.id), native.FLOW)
        flow_records["creator"] = flows.creator
        flow_records["decayed"] = features.decayed(features.dated(flows.created_at), epoch)
        flow_records["counter"] = counters(flows.id)

        tokens = np.asarray(videos.tokens)
        size = (tokens[:, :N_SKILLS] != NO_TOKEN).sum(axis=1)
        points = features.points(tokens)
        places = np.flatnonzero(tokens.ravel() != NO_TOKEN)
        start, entries = _invert(tokens.ravel()[places], max(len(points), snapshot.skills.n + 1))
        by_token = start, (places[entries] // N_TOKENS).astype(np.int32)
        often = np.flatnonzero(np.diff(start) * _DENSE >= max(n, 1))
        dense_of = np.full(len(start) - 1, -1, np.int32)
        dense_of[often] = np.arange(len(often))
        order = np.argsort(dated, kind="stable").astype(np.int32)
        return cls(
            videos=records,
            flows=flow_records,
            video_ids=np.ascontiguousarray(videos.id, np.int64),
            flow_ids=np.ascontiguousarray(flows.id, np.int64),
            skills=np.ascontiguousarray(snapshot.skills.similarity, np.float64),
            points=points,
            by_creator=_invert(videos.creator, snapshot.n_creators),
            by_token=by_token,
            by_date=order,
            dates=dated[order],
            of_size=np.stack([_mask(np.flatnonzero(size == m), n) for m in range(N_SKILLS + 1)]),
            dense=np.stack(
                [np.zeros(_words(n), np.uint64), *(_mask(by_token[1][start[s] : start[s + 1]], n) for s in often)]
            )[1:],
            dense_of=dense_of,
            epoch=epoch,
            n_creators=snapshot.n_creators,
            n_cities=int(videos.city.max(initial=0)) + 1,
        )

    def fresh(self) -> tuple[NDArray[np.uint64], int]:
        """A mask of no videos, and where in `by_date` it begins: what a room's own mask starts from."""
        return np.zeros(_words(len(self.videos)), np.uint64), len(self.videos)

    def point(self, to: native.Catalogue) -> None:
        """Fill what a catalogue says of the snapshot. It is valid while this object lives."""
        to.n_videos, to.n_flows, to.n_creators = len(self.videos), len(self.flows), self.n_creators
        to.n_skills, to.n_tokens, to.n_cities = len(self.skills), len(self.points), self.n_cities
        to.words, to.epoch = _words(len(self.videos)), self.epoch
        names = ("videos", "flows", "video_ids", "flow_ids", "skills", "points", "by_date", "dates")
        native.fill(to, {name: getattr(self, name) for name in (*names, "of_size", "dense", "dense_of")})
        for postings, (start, entries) in ((to.by_creator, self.by_creator), (to.by_token, self.by_token)):
            native.fill(postings, {"start": start, "entries": entries})


def _invert(codes: Indices, n: int) -> tuple[Ints, Indices]:
    """Where the entries of each code 0..n-1 begin, (n + 1,), and entries by code, ascending."""
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(codes, minlength=n), out=start[1:])
    return start, np.argsort(codes, kind="stable").astype(np.int32)


def _words(n: int) -> int:
    return (n + 63) // 64


def _mask(rows: Ints | Indices, n: int) -> NDArray[np.uint64]:
    """These rows as bits, (words,)."""
    flags = np.zeros(_words(n) * 64, np.bool_)
    flags[rows] = True
    return np.packbits(flags, bitorder="little").view("<u8").astype(np.uint64)
