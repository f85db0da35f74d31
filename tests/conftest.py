"""What all tests may ask for."""

from collections import Counter

import pytest

pytest_plugins = ["tests.contracts.fixtures"]

FUZZED = "fuzzed"  # property of a test: how many answers it got, by status


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The totals of the fuzz: what was sent, what came back, what failed."""
    statuses: Counter[str] = Counter()
    failed = set()
    tests = set()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, sent in getattr(report, "user_properties", ()):
                if name == FUZZED and report.when == "teardown":
                    statuses.update(sent)
                    tests.add(report.nodeid)
    for report in (*terminalreporter.stats.get("failed", ()), *terminalreporter.stats.get("error", ())):
        if report.nodeid in tests:
            failed.add(report.nodeid)
    if tests:
        found = ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))
        terminalreporter.write_line(
            f"Fuzz: {statuses.total():,} requests by {len(tests)} tests, {len(statuses)} distinct statuses ({found}), "
            f"failures: {len(failed)}"
        )
