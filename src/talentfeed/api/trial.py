"""Do feeds come out? A page is ranked for nobody in particular, as a request would, and thrown away."""

import logging

import numpy as np

from talentfeed.api.service import Service
from talentfeed.contracts import FeedRequest
from talentfeed.ranking import feed as ranking
from talentfeed.ranking import viewer as viewers

log = logging.getLogger(__name__)

NOBODY = 0  # a user id that the platform does not give: the cold-start feed
_NOTHING = np.zeros(0, np.int64)


def trouble(service: Service) -> str | None:
    """Why no feed comes out now; None: one does. Takes what ranking a feed takes."""
    serving = service.serving
    if serving is None:
        return "there is no snapshot yet"
    try:
        slate = ranking.rank(
            serving.ranker,
            viewers.read(serving.snapshot, NOBODY),
            FeedRequest(
                endpoint="total",
                pattern=ranking.parse_pattern(service.settings.feed_pattern),
                size=1,
                excluded_ids=_NOTHING,
                recent_creators=(),
                shown_flows=np.zeros(0, np.int32),
            ),
            now=service.clock(),
            seed=1,
        )
    except Exception as error:
        log.exception("No feed comes out of snapshot %s", serving.snapshot.manifest.version)
        return f"ranking fails: {type(error).__name__}"
    videos, flows = serving.snapshot.videos, serving.snapshot.flows
    if slate.slots or not (len(videos.id) or len(flows.id)):  # of a platform that has nothing yet the feed is empty
        return None
    return "nothing of the snapshot can be served"
