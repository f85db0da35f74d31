"""Rule 4 kept incrementally is rule 4 counted afresh, also below its bound."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from talentfeed.contracts import N_TOKENS
from talentfeed.ranking.diversity import Diversity, SkillIndex
from talentfeed.ranking.masks import Ground

videos = st.lists(st.sets(st.integers(1, 9), max_size=5), min_size=1, max_size=12)


@settings(deadline=None, max_examples=150)
@given(skills=videos, data=st.data(), small_up_to=st.sampled_from([0, 99]))
def test_what_passes_is_what_a_fresh_count_lets_pass(
    skills: list[set[int]], data: st.DataObject, small_up_to: int
) -> None:
    tokens = np.zeros((len(skills), N_TOKENS), np.int32)
    for row, listed in enumerate(skills):
        tokens[row, : len(listed)] = sorted(listed)
    ground = Ground(len(skills), small_up_to=small_up_to)
    diversity = Diversity(SkillIndex.of(tokens, 9, ground))
    mentions: list[int] = []
    for row in data.draw(st.lists(st.integers(0, len(skills) - 1), max_size=25)):
        want = [not listed or 5 * len({*mentions, *listed}) >= 3 * (len(mentions) + len(listed)) for listed in skills]
        assert [diversity.admits(i) for i in range(len(skills))] == want
        if data.draw(st.booleans()):  # asked only now and then: what is pending adds up
            failing = diversity.failing()
            fails = [failing is not None and ground.has(failing, i) for i in range(len(skills))]
            assert [not fail for fail in fails] == want
        diversity.take(row)
        mentions += sorted(skills[row])
