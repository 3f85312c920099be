"""Where spans go: sampled by a ratio, gathered by a thread in the background, sent by OTLP over HTTP."""

from __future__ import annotations

import asyncio
import threading
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Tracer

from mintmark import __version__

TRACES_PATH: Final = "/v1/traces"
EXPORT_TIMEOUT_S: Final = 5
CLOSE_WAIT_S: Final = 5.0


class SpanExport:
    """The spans of one worker, on their way out. Make it after the fork: it starts a thread."""

    def __init__(self, endpoint: str, sample_ratio: float, worker: int) -> None:
        ratio = TraceIdRatioBased(sample_ratio)
        self._provider = TracerProvider(
            # A caller may say that a trace is not sampled; that one is, only for as many as the ratio gives anybody.
            ParentBased(ratio, remote_parent_sampled=ratio, remote_parent_not_sampled=ALWAYS_OFF),
            Resource.create(
                {"service.name": "mintmark", "service.version": __version__, "mintmark.worker": str(worker)}
            ),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(traces_url(endpoint), timeout=EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))

    @property
    def tracer(self) -> Tracer:
        """What makes spans."""
        return self._provider.get_tracer("mintmark", __version__)

    async def close(self) -> None:
        """Send what is left, within CLOSE_WAIT_S: a collector that does not answer must not hold up the end."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, CLOSE_WAIT_S)


def traces_url(endpoint: str) -> str:
    """Return where spans are sent: the endpoint as it is if it has a path, else its `/v1/traces`."""
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + TRACES_PATH
