"""An OpenTelemetry collector as far as a test needs one: takes OTLP over HTTP and reads the protobuf."""

from __future__ import annotations

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.endpoints.servers import PATIENCE_S


class Span(NamedTuple):
    """A span as it arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]
    is_error: bool
    seconds: float


class Collector:
    """Listens on a port of its own. Used as a context manager."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.octets = b""
        self.paths: set[str] = set()
        self.resources: set[tuple[tuple[str, str], ...]] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.path, self.read_body())
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def read_body(self) -> bytes:
                body = self.rfile.read(int(self.headers["content-length"]))
                return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        self.octets += body
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.add(tuple((one.key, one.value.string_value) for one in part.resource.attributes))
            self.spans += [read_span(span) for scope in part.scope_spans for span in scope.spans]

    def wait_for(self, name: str, count: int = 1) -> list[Span]:
        """Wait until that many spans of a name have come, and return them."""
        deadline = time.monotonic() + PATIENCE_S
        while len(found := [span for span in self.spans if span.name == name]) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} {name}"
            time.sleep(0.05)
        return found

    def children(self, parent: Span) -> list[Span]:
        return [span for span in self.spans if span.parent_id == parent.span_id]


def read_span(span: object) -> Span:
    told = ExportTraceServiceRequest().resource_spans.add().scope_spans.add().spans.add()
    told.CopyFrom(span)
    return Span(
        told.name,
        told.trace_id.hex(),
        told.span_id.hex(),
        told.parent_span_id.hex(),
        {one.key: one.value.string_value or str(one.value.int_value) for one in told.attributes},
        told.status.code == told.status.STATUS_CODE_ERROR,
        (told.end_time_unix_nano - told.start_time_unix_nano) / 1e9,
    )
