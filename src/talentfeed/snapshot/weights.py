"""The blend that a snapshot ranks by where none was fitted."""

from talentfeed.evidence import Blend

# What `talentfeed fit` finds with seed 0 on the first four fifths, by time, of KuaiRand-Pure (Gao et al., CIKM 2022):
# 960,000 rows of short videos and 27,000 viewers.
BLEND = Blend(
    warm={
        "popularity_12h": 0.065,
        "popularity_3d": 0.714,
        "shown": -0.653,
        "worth": 0.754,
        "als": 4.257,
        "co_view": 0.974,
    },
    cold={"popularity_12h": 0.361, "popularity_3d": 0.553, "shown": 0.229, "worth": 1.198},
    warm_level=3.552,
    cold_level=-4.823,
)
