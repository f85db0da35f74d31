"""The three feeds: read viewer → rank → record → shape."""

import logging
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from talentfeed.activity.recorder import ServedFeed
from talentfeed.activity.sessions import Session
from talentfeed.api.bodies import FeedQuery, feed_query, read_object
from talentfeed.api.metrics import Metrics
from talentfeed.api.plain import Ready
from talentfeed.api.problems import unavailable
from talentfeed.api.service import Service
from talentfeed.api.shaping import Creators, Shelf, shape
from talentfeed.contracts import (
    CREATOR_WINDOW,
    FeedRequest,
    Flows,
    Indices,
    Pool,
    Snapshot,
)
from talentfeed.lookup import rows_of
from talentfeed.ranking import feed as ranking
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.record import Origin

log = logging.getLogger(__name__)
clock = time.perf_counter

ENDPOINTS = ("total", "discover", "flow")
_WINDOW = CREATOR_WINDOW - 1  # places that a creator keeps others of theirs away from


def feed_endpoint(
    endpoint: str, service: Service, metrics: Metrics
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """The handler of one feed. Raises PatternError now if the configured pattern leaves this feed without a slot."""
    pattern = ranking.pattern_for(endpoint, ranking.parse_pattern(service.settings.feed_pattern))
    shelf, creators = Shelf(), Creators()

    async def serve_feed(request: Request) -> Response:
        query = feed_query(await read_object(request), sized=endpoint != "total")
        serving = service.serving
        if serving is None:
            raise unavailable("snapshot", "there is none yet: the service is starting, or needs: talentfeed build")
        snapshot = serving.snapshot
        asked = clock()
        session = await service.sessions.read(query.user_id, query.session_id, endpoint=endpoint)
        answered = clock()
        now = service.clock()
        feed_id = os.urandom(16).hex()
        page = _page(endpoint, pattern, query, session, snapshot, creators=creators)
        viewer = viewers.read(snapshot, query.user_id, session.events)
        known = clock()
        slate = ranking.rank(serving.ranker, viewer, page, now=now, seed=int(feed_id, 16))
        ranked = clock()
        found = shelf(snapshot, slate.slots)

        def record() -> ServedFeed:
            return ServedFeed(
                user_id=query.user_id,
                endpoint=endpoint,
                feed_id=feed_id,
                session_id=session.session_id,
                at=time.time(),  # when it happened, also where the catalogue is served as on another day
                items=[one.served for one in found],
                pools=[slot.pool for slot in slate.slots],
                probabilities=[slot.probability for slot in slate.slots],
                origin=Origin(ranker=serving.ranker, events=session.events, request=page, now=now),
                viewer=viewer,
            )

        _record(service, metrics, feed_id, record)
        recorded = clock()
        text = shape(snapshot, slate, session, found, endpoint=endpoint, feed_id=feed_id)
        metrics.stages(asked, answered, known, ranked, recorded, clock())
        metrics.feed_seconds[endpoint].observe(ranked - answered)
        metrics.feed(slate, endpoint=endpoint, size=query.size, snapshot=snapshot, now=now)
        if session.degraded:
            metrics.degraded.inc()
        return Ready(text)

    serve_feed.__name__ = endpoint
    return serve_feed


def _page(
    endpoint: str,
    pattern: Sequence[Pool],
    query: FeedQuery,
    session: Session,
    snapshot: Snapshot,
    *,
    creators: Creators,
) -> FeedRequest:
    """What the session has shown is excluded as well, so that a scroll with a session_id alone does not repeat.

    The creator window reaches back over what the session has shown; where that is not 11 items yet (its beginning has
    expired, or the client came with ids of its own) the client's newest ids stand before them.
    """
    excluded, shown = query.excluded_ids, session.shown
    recent = creators(snapshot, shown[-_WINDOW:])
    if len(shown) < _WINDOW:
        own = {item_id for _, item_id in shown}
        before = [item_id for item_id in excluded[-2 * _WINDOW :].tolist() if item_id not in own]
        recent = creators(snapshot, before[len(shown) - _WINDOW :]) + recent
    if len(session.shown_ids):
        excluded = np.concatenate([excluded, session.shown_ids])
    return FeedRequest(
        endpoint=endpoint,
        pattern=pattern,
        size=query.size,
        excluded_ids=excluded,
        recent_creators=recent,
        shown_flows=_rows(snapshot.flows, session.shown_flows),
    )


def _rows(flows: Flows, ids: Sequence[int]) -> Indices:
    """Flow ids → their rows, without those that are not served any more."""
    if not ids:
        return np.zeros(0, np.int32)
    rows, known = rows_of(flows.id, np.asarray(ids, np.int64))
    found: Indices = rows[known].astype(np.int32)
    return found


def _record(service: Service, metrics: Metrics, feed_id: str, feed: Callable[[], ServedFeed]) -> None:
    """A feed goes out whatever happens here."""
    try:
        service.recorder.served(feed())
    except Exception:
        metrics.unrecorded.inc()
        log.exception("Feed %s went out but could not be recorded", feed_id)
