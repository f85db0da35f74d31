"""This process: its program's version, and its memory as far as others share it."""

import platform
import resource
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric

from talentfeed import __version__
from talentfeed.api.meters import gauge

_STATM = Path("/proc/self/statm")  # pages: size, resident, shared, …; see proc(5)


def collect() -> Iterator[Metric]:
    """Beside what the client library tells of a process; shared memory only where /proc tells it."""
    info = GaugeMetricFamily("talentfeed_info", "The program", labels=["version", "python"])
    info.add_metric([__version__, platform.python_version()], 1.0)
    yield info
    shared = None
    if _STATM.exists():
        shared = float(_STATM.read_text(encoding="ascii").split()[2]) * resource.getpagesize()
    yield gauge(
        "talentfeed_memory_shared_bytes",
        "Of the resident memory what is mapped from files, such as the snapshot: there once for all workers",
        shared,
    )
