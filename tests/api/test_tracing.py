"""Traces reach a collector, follow their caller, and are not there at all unless somebody wants them."""

import gzip
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.testclient import TestClient
from tests.api.conftest import ServiceMaker, small_catalogue
from tests.contracts.loopback import answering

from talentfeed.api.app import create_app
from talentfeed.errors import SettingsError

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
STAGES = ["session", "viewer", "rank", "record", "encode"]


class Collector(ThreadingHTTPServer):
    """Takes what is exported."""

    daemon_threads = True

    def __init__(self) -> None:
        self.spans: list[Any] = []
        super().__init__(("127.0.0.1", 0), _Take)


class _Take(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with answering(Collector()) as server:
        yield server


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("talentfeed.api.tracing.CLOSE_SECONDS", 60.0)


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_a_request_is_a_span_with_its_stages_inside_and_follows_its_caller(
    make_service: ServiceMaker, collector: Collector
) -> None:
    url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    service = make_service(small_catalogue(), traces_url=url, traces_share=0.0)
    with TestClient(create_app(service)) as client:
        headers = {"traceparent": f"{CALLER}-01", "X-Request-ID": "mine-1"}
        assert client.post("/api/search/total", json={"user_id": 1}, headers=headers).status_code == 200
        client.post("/api/search/total", json={"user_id": 1})  # by the share: not traced
        client.post("/api/search/total", json={"user_id": 1}, headers={"traceparent": f"{CALLER}-00"})
        client.get("/health/live", headers={"traceparent": f"{CALLER}-01"})
    (whole,) = [span for span in collector.spans if span.name == "POST /api/search/total"]
    inner = [span for span in collector.spans if span is not whole]
    assert whole.trace_id.hex() == CALLER.split("-")[1]
    assert whole.parent_span_id.hex() == CALLER.split("-")[2]
    assert attributes(whole) == {
        "http.request.method": "POST",
        "http.route": "/api/search/total",
        "http.response.status_code": 200,
        "talentfeed.request_id": "mine-1",
    }
    assert [span.name for span in sorted(inner, key=lambda span: span.start_time_unix_nano)] == STAGES
    for span in inner:
        assert span.parent_span_id == whole.span_id
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= whole.end_time_unix_nano + 10_000_000


def test_the_share_decides_where_no_caller_does(make_service: ServiceMaker, collector: Collector) -> None:
    url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    with TestClient(create_app(make_service(small_catalogue(), traces_url=url, traces_share=1.0))) as client:
        client.post("/api/search/total", json={"user_id": "x"})
        client.get("/nowhere/ana@example.org")
    assert {span.name for span in collector.spans} == {"POST /api/search/total", "GET unmatched"}
    assert "ana@" not in str(collector.spans)


def test_a_collector_that_is_away_slows_no_request(make_service: ServiceMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talentfeed.api.tracing.CLOSE_SECONDS", 0.2)
    service = make_service(small_catalogue(), traces_url="http://127.0.0.1:9/v1/traces", traces_share=1.0)
    with TestClient(create_app(service)) as client:
        for _ in range(5):
            assert client.post("/api/search/total", json={"user_id": 1}).status_code == 200
        began = time.monotonic()
    assert time.monotonic() - began < 30


def test_without_the_extra_the_way_out_is_named(make_service: ServiceMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "talentfeed.api.tracing", None)
    with pytest.raises(SettingsError, match=r"pip install 'talentfeed\[otel\]'"):
        create_app(make_service(small_catalogue(), traces_url="http://127.0.0.1:9/v1/traces"))


def test_unless_it_is_wanted_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, talentfeed.api.app, talentfeed.wiring; print([name for name, module in sys.modules.items()"
        " if module and name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'talentfeed.api.tracing'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
