"""A real-time feed recommender: a personal feed of 24 items in about a millisecond."""

__version__ = "0.1.0"
