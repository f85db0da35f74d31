"""The page on learning names what the code has."""

import re
from pathlib import Path

from talentfeed import impressions
from talentfeed.activity.shown import LEAST_LIFE
from talentfeed.learning import learner, policies, rewards, warm
from talentfeed.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs/learning.md").read_text(encoding="utf-8")


def test_every_key_is_in_the_table_of_keys() -> None:
    named = {impressions.WAITING, impressions.COUNTS, learner.JUDGED}
    named |= {policies.HEAD, policies.STATES, policies.VERSIONS, policies.INCREMENTS, policies.TALLY}
    named |= {"shown:{user_id}", "outcomes:{user_id}", "shown-by:{recorder}", "policy:tick"}
    assert named == set(
        re.findall(r"^\| `([a-z-]+(?::[a-z_{}-]+)?)` \| (?:list|text|zset|hash|string|number)", PAGE, re.M)
    )


def test_every_event_is_in_the_table_of_rewards() -> None:
    table = PAGE.split("| event | reward |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([a-z_]+)`", table)) == set(rewards.REWARDS)


def test_numbers_are_told_as_they_are() -> None:
    assert f"the newest {policies.KEPT}, and the one to be served" in PAGE
    assert f"the newest {learner.JUDGED_KEPT:,}" in PAGE
    assert f"put off for {learner.LEASE:.0f} s" in PAGE
    assert f"up to {learner.FOLDED} increments" in PAGE
    assert f"up to {warm.VIEWERS:,} users" in PAGE
    assert f"at most {warm.WEIGHT:.0f} impressions" in PAGE
    assert LEAST_LIFE == 6 * 3600


def test_every_setting_named_exists() -> None:
    named = set(re.findall(r"`((?:POLICY|REWARD)_[A-Z_]+)", PAGE))
    assert len(named) == 4
    assert {name.lower() for name in named} <= set(Settings.model_fields)
