"""New videos by rank are new videos by date."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from talentfeed.contracts import NEW_DAYS, SECONDS_PER_DAY
from talentfeed.ranking.calendar import Calendar
from talentfeed.ranking.masks import Ground

SPAN = NEW_DAYS * SECONDS_PER_DAY
NOW = 1_790_000_000.0
ages = st.one_of(st.sampled_from([0.0, SPAN, SPAN - 1e-6, SPAN + 1e-6, np.inf]), st.floats(-1e6, 3 * SPAN))


@settings(deadline=None, max_examples=200)
@given(
    some=st.lists(ages, max_size=12),
    copies=st.sampled_from([1, 70]),
    later=st.one_of(st.just(0.0), st.floats(-2 * SPAN, 2 * SPAN)),
    small_up_to=st.sampled_from([-1, 9_999]),
)
def test_new_by_rank_is_new_by_date(some: list[float], copies: int, later: float, small_up_to: int) -> None:
    dated = NOW - np.array(some * copies, np.float64)
    dated[::copies] -= later / 3  # few of many come of age
    ground = Ground(len(dated), small_up_to=small_up_to)
    calendar = Calendar.of(dated, ground)
    before = ground.rows(calendar.kept).tolist()
    for now in (NOW + later, NOW):
        assert ground.rows(calendar.new(now)).tolist() == np.flatnonzero(now - dated < SPAN).tolist()
    assert ground.rows(calendar.kept).tolist() == before, "what is kept has been changed"
