"""What watches the service: every alert fires when it should, has its paragraph, and every panel shows something."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmarks.prometheus import MONITORING, Prometheus, nothing, panels, watching
from tests.test_commands import Place, stop

RUNBOOK = (MONITORING.parents[1] / "docs/runbook.md").read_text(encoding="utf-8")
METRICS = (MONITORING.parents[1] / "docs/metrics.md").read_text(encoding="utf-8")
RULES: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
PARAGRAPHS = dict(re.findall(r"^## (\w+)\n\n\*\*(\w+)\.\*\*", RUNBOOK, re.MULTILINE))
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for _, panel in panels() for target in panel["targets"]
]


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_well_formed() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "alerts.yaml")
    promtool("check", "config", "prometheus.yaml")


def test_every_alert_fires_when_it_should_and_not_when_it_should_not() -> None:
    promtool("test", "rules", "alerts_test.yaml")
    tests = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text())["tests"]
    assert sorted(test["name"] for test in tests) == sorted(
        f"{rule['alert']} {how}" for rule in RULES for how in ("fires", "keeps quiet")
    )
    for test in tests:
        (asked,) = test["promql_expr_test"]
        assert f'alertname="{test["name"].split()[0]}"' in asked["expr"]
        assert ("exp_samples" in asked) == test["name"].endswith("fires")


def test_every_alert_has_its_paragraph_and_every_paragraph_its_alert() -> None:
    assert {rule["alert"]: rule["labels"]["severity"] for rule in RULES} == PARAGRAPHS
    assert len(PARAGRAPHS) == RUNBOOK.count("\n## ")
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]


def test_what_the_runbook_names_of_metrics_panels_alerts_and_pages_exists() -> None:
    titles = {panel["title"].partition(",")[0] for _, panel in panels()}
    named = set(re.findall(r"\*([A-Z][^*\n]+)\*(?!\*)", re.sub(r"\*\*.*?\*\*", "", RUNBOOK)))
    assert named <= titles
    assert len(named) == 3
    assert set(re.findall(r"\bTalentfeed\w+", RUNBOOK)) == set(PARAGRAPHS)
    known = set(re.findall(r"talentfeed_\w+", METRICS))
    assert {name.removesuffix("_count") for name in re.findall(r"talentfeed_\w+", RUNBOOK)} <= known
    for page in re.findall(r"\]\(([\w.-]+\.md)\)", RUNBOOK):
        assert (MONITORING.parents[1] / "docs" / page).is_file(), page


def test_the_page_that_shows_the_dashboard_has_every_row_and_panel_in_their_order() -> None:
    page = (MONITORING.parents[1] / "docs/dashboard.md").read_text(encoding="utf-8")
    at, last = page.index("```text"), ""
    for row, panel in panels():
        for line in (f"\n{row} ──",) * (row != last) + (f"\n{panel['title']}",):
            found = page.find(line, at)
            assert found >= at, f"{line.strip()} is not where it should be: paste what `make dashboard` prints"
            at = found
        last = row
        if nothing(panel) is None:
            for target in panel["targets"]:
                assert "{{" in target["legendFormat"] or target["legendFormat"] in page, target


def test_panels_and_alerts_ask_for_metrics_that_there_are() -> None:
    known = set(re.findall(r"^\| `(talentfeed_\w+)` \| (\w+)", METRICS, re.MULTILINE))
    counters = {name for name, kind in known if kind != "histogram"}
    histograms = {
        f"{name}{part}" for name, kind in known if kind == "histogram" for part in ("_bucket", "_sum", "_count")
    }
    for expression in EXPRESSIONS:
        assert set(re.findall(r"talentfeed_\w+", expression)) <= counters | histograms, expression


def test_every_room_of_the_metrics_page_is_on_the_dashboard() -> None:
    asked = set(re.findall(r"talentfeed_\w+", " ".join(EXPRESSIONS)))
    for name, kind in re.findall(r"^\| `(talentfeed_\w+)` \| (\w+)", METRICS, re.MULTILINE):
        shown = {name} if kind != "histogram" else {f"{name}_bucket", f"{name}_sum"}
        assert asked & shown or name in UNSHOWN, f"{name} is on no panel and in no alert"


# what only somebody who looks closer wants
UNSHOWN = {
    "talentfeed_recorded_feeds_total",
    "talentfeed_flush_batches_total",
    "talentfeed_quarantined_activities_total",
    "talentfeed_snapshot_loaded_seconds",
    "talentfeed_store_since_seconds",
    "talentfeed_bastion_since_seconds",
    "talentfeed_bastion_connections_total",
}


# a machine that has too much to do is slow, and then these are right
OF_SPEED = {"TalentfeedSlow", "TalentfeedLoopLate", "TalentfeedDegraded", "TalentfeedStoreDown"}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that scrapes a server which serves, is told events and is looked after."""
    folder: Path = tmp_path_factory.mktemp("watched")
    place = Place(folder)
    result = place.run("demo", "--scale", "0.02", "--seed", "3", "--no-serve")
    assert result.returncode == 0, result.stderr
    server = place.start("serve")
    with watching(folder / "prometheus", place.port, every=0.5) as found:
        until = time.monotonic() + 120
        asks = ("talentfeed_store_up", 'rate(talentfeed_client_activities_total{event_type="like"}[1m]) > 0')
        while not all(found.ask(expression) for expression in asks):
            assert time.monotonic() < until, "the server is not looked after"
            item = place.feed(user_id=1)["items"][0]
            assert (
                place.call("POST", "/api/activities", {"event_type": "like", "user_id": 1, "video_id": item["id"]})[0]
                == 202
            )
            time.sleep(0.2)
        yield found
    assert stop(server) == 0


def test_every_panel_has_data_or_says_why_it_has_none(prometheus: Prometheus) -> None:
    empty = {panel["title"]: nothing(panel) for _, panel in panels() if not prometheus.panel(panel, 60)}
    assert all(empty.values()), f"no data and no word why: {[title for title, why in empty.items() if not why]}"
    assert len(empty) <= 8, empty


def test_nothing_fires_while_all_is_well_and_something_where_nobody_answers(
    prometheus: Prometheus, tmp_path: Path
) -> None:
    assert prometheus.alerts() == []
    for rule in RULES:
        found = prometheus.ask(rule["expr"])
        assert found == [] or rule["alert"] in OF_SPEED, (rule["alert"], found)
    with watching(tmp_path / "other", 9, every=0.5) as other:
        until = time.monotonic() + 60
        down = next(rule["expr"] for rule in RULES if rule["alert"] == "TalentfeedDown")
        while not other.ask(f"sum(up) == 0 and ({down})"):
            assert time.monotonic() < until
            time.sleep(0.2)


def test_a_query_that_is_none_is_refused_with_the_reason(prometheus: Prometheus) -> None:
    with pytest.raises(RuntimeError, match="parse error"):
        prometheus.ask("sum(")
