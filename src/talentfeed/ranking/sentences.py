"""An explanation in words that need no code at hand."""

from collections.abc import Mapping

from talentfeed.contracts import Kind, Pool, Rule
from talentfeed.ranking.parts import ScoreParts

POOLS: Mapping[Pool, str] = {
    Pool.POPULAR: "popular: videos through the quality gate, drawn in proportion to their score",
    Pool.AFFINITY: "affinity: the video that suits this viewer best",
    Pool.FRESH: "fresh: videos of the last 45 days, drawn evenly among the best",
    Pool.FLOW: "flow: the challenge with the best score",
    Pool.EXPLORE: "explore: drawn evenly from all that may stand",
}
BROKEN: Mapping[Rule, str] = {
    Rule.NEW_CONTENT: "new videos make 25–35 % of the videos",
    Rule.SKILL_DIVERSITY: "at least 60 % of the skill mentions are distinct",
    Rule.ALREADY_SEEN: "nothing the viewer has interacted with",
    Rule.CREATOR_WINDOW: "no creator twice within 12 items",
}
REASONS: Mapping[str, str] = {
    "excluded": "excluded by the request or shown in the session",
    "already_in_feed": "already in this feed",
    "already_seen": "already seen by the viewer",
    "creator_window": "by a creator of the last 11 items",
    "skill_diversity": "with skills that the feed has enough of",
    "new_content": "left out to keep new videos at 25–35 %",
    "chance": "not drawn",
    "explored": "not asked, as this place explored",
    "shortlist": "not on the pool's shortlist",
    "score": "of a lower score",
}
# a boost and the feature of the same quantity are told as one
_NAMES = {
    "match": "extended match",
    "similarity": "skill similarity",
    "diversity": "skill diversity",
    "rarity": "skill rarity",
    "new": "being new",
    "noise": "chance",
}


def why(
    *,
    kind: Kind,
    pool: Pool,
    planned: Pool,
    explored: bool,
    comes_back: bool,
    epsilon: float,
    probability: float,
    admissible: int,
    drawable: int,
    parts: ScoreParts | None,
    passed_over: Mapping[str, int],
    gave_way: tuple[Rule, ...],
) -> str:
    """One sentence on a place."""
    things = ("video", "videos") if kind is Kind.VIDEO else ("challenge", "challenges")
    if comes_back:
        text = f"Nothing unseen may stand here, so the {things[0]} seen longest ago comes back"
    elif explored:
        text = (
            f"This place explores, as {epsilon:.0%} of all do: drawn evenly from the {_count(admissible, things)} "
            "that may stand here"
        )
    elif pool is Pool.EXPLORE:
        text = f"Drawn evenly from the {_count(admissible, things)} that may stand here"
    elif pool is Pool.POPULAR:
        text = f"Drawn among {drawable} popular videos that may stand here, with a chance of {probability:.1%}"
    elif pool is Pool.FRESH:
        text = f"Drawn evenly among {drawable} new videos that may stand here"
    elif pool is Pool.AFFINITY:
        text = "The best for this viewer's taste of the videos that may stand here"
    else:
        text = "The first of the challenges that may stand here"
    if planned is not pool:
        text += f" (the place is {planned.value}'s, which had nothing that may stand)"
    if parts is not None and not explored:
        text += _mostly(parts)
    ahead = {reason: count for reason, count in passed_over.items() if reason not in ("chance", "explored", "score")}
    if ahead:
        listed = ", ".join(f"{count} {REASONS[reason]}" for reason, count in ahead.items())
        text += f"; ahead of it but passed over: {listed}"
    if gave_way:
        text += f"; to fill the place, this rule gave way: {', '.join(BROKEN[rule] for rule in gave_way)}"
    return text + "."


def _count(number: int, things: tuple[str, str]) -> str:
    return f"one {things[0]}" if number == 1 else f"{number} {things[1]}"


def _mostly(parts: ScoreParts) -> str:
    """What adds most to the score, learned and fixed weights together; the bonuses, alike for all, apart."""
    adds = {share.feature.replace("_", " "): share.adds for share in parts.features}
    for name, value in parts.boosts.items():
        readable = _NAMES.get(name, name)
        adds[readable] = adds.get(readable, 0.0) + value
    best = sorted((name for name in adds if adds[name] > 0), key=lambda name: -adds[name])[:2]
    text = f", mostly for {' and '.join(f'{name} ({adds[name]:+.2f})' for name in best)}" if best else ""
    bonus = parts.uncertainty_bonus + parts.adaptive_bonus
    return f"{text}, with {bonus:+.2f} for what is not known yet" if bonus else text
