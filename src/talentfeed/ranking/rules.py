"""What of the slate's rules others need too: how it was kept, why it was not. The slate itself is `native/slate.c`."""

SPARE = 2  # creators of new videos more than a feed still needs, from which on nobody's other items wait


def band(n_videos: int) -> tuple[int, int]:
    """Rule 5, fewest and most new videos among so many: 25 % and 35 %, to the nearest whole number."""
    return (n_videos + 2) // 4, (7 * n_videos + 10) // 20


def within_band(n_videos: int, n_new: int) -> bool:
    """Whether a feed keeps rule 5."""
    low, high = band(n_videos)
    return low <= n_new <= high
