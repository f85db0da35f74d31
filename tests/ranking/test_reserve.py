"""Rule 5 where creators of new videos are few and have older hits: what they need is not spent on other items."""

import numpy as np
import pytest
from tests.ranking.checker import broken_rules
from tests.ranking.factory import NOW, FlowSpec, VideoSpec, flow, make_snapshot, user, video

from talentfeed.contracts import FeedRequest, Rule, Snapshot
from talentfeed.ranking import feed
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.presets import preset

PATTERN = feed.parse_pattern("VMP AU AU VMP NU FW")


def hits_by_the_makers_of_new_videos(flows: list[FlowSpec]) -> Snapshot:
    """24 creators of four videos each; creators 1 to 8 have one new video and three hits each."""
    videos: list[VideoSpec] = []
    for creator in range(1, 25):
        for number in range(4):
            new, hit = creator <= 8 and number == 0, creator <= 8 and number > 0
            videos.append(
                video(
                    100 * creator + number,
                    creator=creator,
                    age_days=5.0 if new else 100.0,
                    skills=[f"skill {creator} {number}"],
                    rating=5.0 if hit else 0.0,
                    rating_count=5 if hit else 0,
                    connections=5 if hit else 0,
                )
            )
    return make_snapshot(videos=videos, flows=flows, users=[user(50)])


@pytest.mark.parametrize("endpoint", ["total", "discover"])
@pytest.mark.parametrize("makers", [range(30, 40), range(1, 9)], ids=["flows of others", "flows of the same"])
def test_new_content_does_not_give_way_where_the_catalogue_allows_it(endpoint: str, makers: range) -> None:
    snapshot = hits_by_the_makers_of_new_videos(
        [flow(5_000 + n, creator=makers[n % len(makers)]) for n in range(10)] if endpoint == "total" else []
    )
    ranker = feed.prepare(snapshot, feed.initial_policy(), preset("classic"))
    request = FeedRequest(
        endpoint=endpoint,
        pattern=feed.pattern_for(endpoint, PATTERN),
        size=24,
        excluded_ids=np.zeros(0, np.int64),
        recent_creators=(),
        shown_flows=np.zeros(0, np.int32),
    )
    viewer = viewers.read(snapshot, 50)
    broken = 0
    for seed in range(60):
        slate = feed.rank(ranker, viewer, request, now=NOW, seed=seed)
        assert set(slate.gave_way) == broken_rules(snapshot, viewer, request, slate, NOW)
        broken += Rule.NEW_CONTENT in slate.gave_way
    assert broken == 0
