"""What a feed must keep, judged from the items alone."""

from tests.reference.ranking import days

from talentfeed.contracts import FeedRequest, Flows, Kind, Rule, Slate, Snapshot, Videos, Viewer


def broken_rules(snapshot: Snapshot, viewer: Viewer, request: FeedRequest, slate: Slate, now: float) -> set[Rule]:
    """The rules that may give way and did; asserts the one that may not."""
    items = [(slot.kind, slot.index) for slot in slate.slots]
    assert len(items) <= request.size
    assert len(set(items)) == len(items), "an item stands twice in one feed"
    listings: dict[Kind, Videos | Flows] = {Kind.VIDEO: snapshot.videos, Kind.FLOW: snapshot.flows}
    excluded = set(request.excluded_ids.tolist())
    for kind, row in items:
        assert int(listings[kind].id[row]) not in excluded, "an excluded id was served"
        assert kind is Kind.VIDEO or request.endpoint != "discover"
        assert kind is Kind.FLOW or request.endpoint != "flow"

    broken = set()
    seen = {Kind.VIDEO: set(viewer.seen_videos.tolist()), Kind.FLOW: set(viewer.seen_flows.tolist())}
    if any(row in seen[kind] for kind, row in items):
        broken.add(Rule.ALREADY_SEEN)

    places = [set(place) for place in request.recent_creators][-11:]
    for kind, row in items:
        creator = int(listings[kind].creator[row])
        if any(creator in place for place in places[-11:]):
            broken.add(Rule.CREATOR_WINDOW)
        places.append({creator})

    mentions: list[int] = []
    videos = [row for kind, row in items if kind is Kind.VIDEO]
    for row in videos:
        skills = [token for token in snapshot.videos.tokens[row, :5].tolist() if token]
        mentions += skills
        if skills and 5 * len(set(mentions)) < 3 * len(mentions):
            broken.add(Rule.SKILL_DIVERSITY)

    new = sum(days(float(snapshot.videos.created_at[row]), now) < 45 for row in videos)
    if 4 * new <= len(videos) - 2:  # below a quarter, half a video rounded up
        broken.add(Rule.NEW_CONTENT)
    if 20 * new > 7 * len(videos) + 10:
        broken.add(Rule.NEW_CONTENT)
    return broken
