"""A real-time feed recommender: a personal feed of 24 items in about a millisecond."""

import os
import sys

# Where OpenTelemetry's SDK is installed redis-py imports it at once, for counters of its own that nobody asked for:
# 50 ms of each start. What is None cannot be imported; `api.app` takes that back for traces.
sys.modules.setdefault("opentelemetry.sdk.metrics", None)  # type: ignore[arg-type]

# Pydantic looks through all that is installed for plugins, which nobody here has: 15 ms of each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

__version__ = "0.1.0"
