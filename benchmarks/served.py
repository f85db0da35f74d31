"""Feeds that went out, as the door hands them to the recorder: made from ranked slates of a made-up catalogue."""

import dataclasses
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from benchmarks import catalogue
from benchmarks.requests import Asked, asked

from talentfeed.activity.outbox import ServedFeed
from talentfeed.api.shaping import Shelf
from talentfeed.contracts import Ints, Slate, Snapshot
from talentfeed.ranking import feed, viewer
from talentfeed.ranking.feed import Ranker
from talentfeed.ranking.presets import preset
from talentfeed.ranking.record import Origin

VIEWERS = 1_000
_SLATES = 300  # ranked once and served again and again: what is measured comes after the ranking
SIZE = 24
ACTIVITIES = 1 + SIZE  # of a feed


@dataclass(frozen=True)
class Kitchen:
    """Slates that are ready to be served."""

    ranker: Ranker
    slates: list[tuple[Asked, Slate]]
    first: int = field(default_factory=lambda: uuid.uuid4().int >> 2)  # of the feeds' ids
    shelf: Shelf = field(default_factory=Shelf)

    def one(self, number: int) -> ServedFeed:
        """The feed with this number; no other kitchen's has its id."""
        page, slate = self.slates[number % len(self.slates)]
        return ServedFeed(
            user_id=1 + number // 2 % VIEWERS,  # two pages each: enough to be flushed
            endpoint="total",
            feed_id=f"{self.first + number:032x}",
            session_id="1795288962843",
            at=time.time(),
            items=[one.served for one in self.shelf(self.ranker.snapshot, slate.slots)],
            pools=[slot.pool for slot in slate.slots],
            probabilities=[slot.probability for slot in slate.slots],
            origin=Origin(ranker=self.ranker, events=(), request=page.request, now=page.now),
        )


def prepare(seed: int = 0) -> Kitchen:
    """At today's size."""
    made = catalogue.make(catalogue.TODAY_VIDEOS, VIEWERS, seed)
    snapshot = dataclasses.replace(
        made.snapshot, videos=_with_urls(made.snapshot.videos), flows=_with_urls(made.snapshot.flows)
    )
    ranker = feed.prepare(snapshot, feed.initial_policy(), preset("classic"))
    return Kitchen(ranker, [(one, _ranked(snapshot, ranker, one)) for one in asked(made, _SLATES, seed)])


def _ranked(snapshot: Snapshot, ranker: Ranker, one: Asked) -> Slate:
    slate = feed.rank(ranker, viewer.read(snapshot, one.user_id), one.request, now=one.now, seed=one.seed)
    assert len(slate.slots) == SIZE
    return slate


def _with_urls(items: Any) -> Any:
    """As long as the platform's are."""
    ids: Ints = items.id
    urls = [
        f"https://media.talentpitch.co/resumes/{number}/video-cv-{number:06x}.mp4".encode() for number in ids.tolist()
    ]
    start = np.cumsum([0, *map(len, urls)]).astype(np.int64)
    return dataclasses.replace(items, url=np.frombuffer(b"".join(urls), np.uint8), url_start=start)
