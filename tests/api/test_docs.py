"""docs/api.md is true: each example is run, each metric, path and error status is there."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import ADMIN_KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
METRICS = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(.*?)```\n\n```json\n(.*?)```", PAGE, re.DOTALL)


def call(client: TestClient, command: str) -> Any:
    """Run a curl command against the application."""
    words = iter(shlex.split(command.replace("$ADMIN_API_KEY", ADMIN_KEYS[0]))[1:])
    method, url, content, headers = "GET", "", None, {}
    for word in words:
        if word == "-d":
            method, content = "POST", next(words).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"  # what curl sends
        elif word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word != "-s":
            url = word
    assert url.startswith("http://127.0.0.1:5002/")
    return client.request(method, url.removeprefix("http://127.0.0.1:5002"), content=content, headers=headers)


def form(value: Any) -> Any:
    """A value's shape: names and types; of a list its first element's."""
    if isinstance(value, dict):
        return {name: form(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [form(inner) for inner in value[:1]]
    return type(value).__name__


def test_every_block_of_the_page_is_an_example_with_its_answer() -> None:
    assert len(EXAMPLES) == PAGE.count("```sh") == PAGE.count("```json") == 11


@pytest.mark.parametrize(("command", "answer"), EXAMPLES)
def test_an_example_answers_as_the_page_says(client: TestClient, command: str, answer: str) -> None:
    documented = json.loads(answer)
    response = call(client, command)
    assert response.status_code == documented.get("statusCode", 200)
    found = response.json()
    if response.status_code >= 400 or "accepted" in documented.get("body", {}) or "name" in documented:
        assert found == documented
        return
    for body in (found["body"], documented["body"]):
        if "items" in body:  # a feed's first item may be of either type; compare like with like
            wanted = documented["body"]["items"][0]["type"]
            body["items"] = [item for item in body["items"] if item["type"] == wanted]
            body["gave_way"] = body["fallbacks"] = []
    assert form(found) == form(documented)
    assert list(found["body"]) == list(documented["body"])


def test_the_metrics_table_is_what_metrics_shows(client: TestClient) -> None:
    documented = re.findall(r"^\| `(talentfeed_\w+)` \| (\w+) \| ([^|]*)\|", METRICS, re.MULTILINE)
    client.post("/api/search/total", json={"user_id": 1})
    text = client.get("/metrics").text
    shown = re.findall(r"^# TYPE (talentfeed_\w+) (\w+)$", text, re.MULTILINE)
    assert dict(shown) == {name: kind for name, kind, _ in documented}
    assert len(shown) == len(documented)
    labels = {name: set(listed.strip().split(", ")) - {""} for name, _, listed in documented}
    for name, _, given in re.findall(r"^(talentfeed_\w+?)(_bucket|_sum|_count)?\{(.*)\} ", text, re.MULTILINE):
        found = set(re.findall(r'(\w+)="', given)) - {"le"}
        assert found == labels[name], name


def test_every_path_is_on_the_page(client: TestClient) -> None:
    for path in client.get("/openapi.json").json()["paths"]:
        written = {"/health/live", "/health/ready", "/metrics", "/", "/api/activities"}
        assert f"{path}`" in PAGE
        assert path.startswith("/api") or path in written


def test_every_documented_status_is_on_the_page(client: TestClient) -> None:
    for methods in client.get("/openapi.json").json()["paths"].values():
        for operation in methods.values():
            for status in operation["responses"]:
                assert status in PAGE
