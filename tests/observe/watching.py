"""A real server whose metrics are read as Prometheus reads them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from mintmark.metrics.catalogue import FAMILIES
from tests.endpoints.servers import PATIENCE_S, Answer, Request, Server, exchange, find_free_port

PATIENT = {"failures_per_client": "1000000", "failures_per_source": "1000000", "shutdown_grace_s": "1"}
COUNTERS = {family.name for family in FAMILIES if family.kind == "counter"}

Sample = tuple[str, frozenset[tuple[str, str]]]


class Figures(dict[Sample, float]):
    """Every sample of a page, by name and labels."""

    def of(self, name: str, **labels: str) -> float:
        """The sum of the samples of a name that have these labels."""
        wanted = set(labels.items())
        return sum(value for (own, its), value in self.items() if own == name and wanted <= its)

    def labels(self, name: str, label: str) -> set[str]:
        return {dict(its)[label] for own, its in self if own == name and label in dict(its)}

    @property
    def growing(self) -> Figures:
        """What never falls while a server runs: counters, and the parts of histograms."""
        parts = ("_bucket", "_sum", "_count")
        return Figures({one: value for one, value in self.items() if one[0] in COUNTERS or one[0].endswith(parts)})


def read_figures(text: str) -> Figures:
    figures = Figures()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in figures, f"{key} is there twice"
            figures[key] = sample.value
    return figures


class WatchedServer(Server):
    """A server with a metrics listener of its own."""

    def __init__(self, state_dir: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> None:
        self.metrics_port = find_free_port()
        watched = {"metrics_listen": f"http://127.0.0.1:{self.metrics_port}"}
        super().__init__(state_dir, *arguments, settings=PATIENT | watched | dict(settings or {}))

    def watch(self, target: str, method: str = "GET") -> Answer:
        """Ask the metrics listener."""
        connection = HTTPConnection("127.0.0.1", self.metrics_port, timeout=PATIENCE_S)
        return exchange(connection, Request(method, target, {}))

    def scrape(self) -> Figures:
        answer = self.watch("/metrics")
        assert answer.status == 200
        return read_figures(answer.body.decode())

    def wait_for(self, is_so: Callable[[Figures], bool]) -> Figures:
        """Scrape until it is so. A worker that has just been killed may have been about to answer."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with suppress(ConnectionError, HTTPException):
                if is_so(figures := self.scrape()):
                    return figures
            time.sleep(0.1)
        raise AssertionError("it never was so")

    def worker_pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def kill_worker(self) -> int:
        """End a worker as the kernel ends one that takes too much memory."""
        pid = self.worker_pids()[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def send_all(self, requests: list[Request]) -> list[Answer]:
        """Send requests from some threads, each on a connection of its own, so that every worker has its share."""
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(self.send, requests))
