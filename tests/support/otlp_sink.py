"""A collector of traces: OTLP over HTTP, on a free port, keeping every span that arrives."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class OtlpSink:
    """Spans by the service that sent them."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.spans: list[tuple[str, Span]] = []

    def take(self, body: bytes) -> None:
        """Keep the spans of one request."""
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            service = next(
                attribute.value.string_value
                for attribute in resource.resource.attributes
                if attribute.key == "service.name"
            )
            self.spans += [
                (service, span) for scope in resource.scope_spans for span in scope.spans
            ]

    def named(self, service: str) -> dict[str, Span]:
        """The spans of one service by name."""
        return {span.name: span for sender, span in self.spans if sender == service}


@contextmanager
def otlp_sink() -> Iterator[OtlpSink]:
    """A sink that listens until the body ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces", self.path
            sink.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sink = OtlpSink(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield sink
        finally:
            server.shutdown()
            thread.join()
