"""What one worker lets be seen of itself, wired by hand: figures, probes, the log of requests, and traces."""

from __future__ import annotations

import platform
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

from mintmark import __version__
from mintmark.admin.administration import Administration
from mintmark.admin.key_ages import KeyAges
from mintmark.admin.upkeep import KeySchedule
from mintmark.api.figures import Api, TakeNote, make_taker
from mintmark.authentication.clients import ClientDirectory
from mintmark.endpoints.outcome import Outcomes
from mintmark.endpoints.parts import Parts, make_endpoints
from mintmark.endpoints.route import Endpoint
from mintmark.http.metrics import MetricsReception
from mintmark.http.probes import Probes
from mintmark.metrics import catalogue
from mintmark.metrics.board import Board, Labels, Sheet
from mintmark.metrics.catalogue import Family
from mintmark.metrics.meters import add_to, make_histogram
from mintmark.metrics.pulse import Pulse
from mintmark.metrics.text import sum_sheets, write_text
from mintmark.protocol.errors import SettingsError, StoreError
from mintmark.settings import Settings
from mintmark.store.sqlite import database_path
from mintmark.store.urls import is_postgresql

if TYPE_CHECKING:
    from mintmark.tracing.export import SpanExport

EXTRA: Final = "otlp_endpoint: traces need the extra telemetry; install it with: pip install 'mintmark[telemetry]'"
LIVE_S: Final = 10.0
"""Since its last beat: for so long a worker counts as one that works."""
DATABASE_FILES: Final = {"database": "", "log": "-wal"}

ExpiringSecrets = Callable[[Administration], Awaitable[Mapping[str, int]]]
"""Tells of each tenant how many secrets expire soon."""
Figure = tuple[Family, Labels, float]


class Watched(NamedTuple):
    """What an application shows of itself."""

    clients: ClientDirectory
    count_tenants: Callable[[], int]
    is_loaded: Callable[[], bool]
    is_known: Callable[[], bool]
    """Whether what is in memory may be used."""
    is_audit_broken: Callable[[], bool]


async def count_no_secrets(administration: Administration) -> Mapping[str, int]:
    """Tell nothing of secrets."""
    return {}


class Observation:
    """The observation of worker `number`, whose sheet is its own on the board that all workers share."""

    def __init__(
        self,
        settings: Settings,
        administration: Administration,
        watched: Watched,
        *,
        board: Board,
        number: int,
        expiring_secrets: ExpiringSecrets = count_no_secrets,
    ) -> None:
        self._settings = settings
        self._administration = administration
        self._watched = watched
        self._board = board
        self._number = number
        self._sheet = board.sheets[number]
        self._expiring_secrets = expiring_secrets
        self._key_ages = KeyAges(administration, KeySchedule(settings.key_lifetime_s, settings.key_announce_s))
        self._export: SpanExport | None = None
        self.outcomes = Outcomes(self._sheet, log_requests=settings.log_requests)
        self.observe_request = make_histogram(self._sheet, catalogue.REQUEST)
        self.pulse = self._make_pulse()
        self.count_purged(0)
        self.probes = Probes(
            board,
            {
                "tenants_not_loaded": self._has_tenants,
                "writer_ended": self._has_writer,
                "out_of_date": self._is_known,
                "database_unreadable": self._can_read,
            },
        )
        administration.store.writer.measure = make_measure(self._sheet)

    def make_endpoints(self, parts: Parts) -> Mapping[str, Endpoint]:
        """Make the endpoints, traced where that is set. Raises: SettingsError (the extra is missing)."""
        plain = make_endpoints(parts)
        if not self._settings.otlp_endpoint:
            return plain
        require_telemetry()
        from mintmark.tracing.endpoints import trace_endpoints  # noqa: PLC0415 an extra that may not be there
        from mintmark.tracing.export import SpanExport  # noqa: PLC0415

        self._export = SpanExport(self._settings.otlp_endpoint, self._settings.trace_sample_ratio, self._number)
        return trace_endpoints(plain, parts, self._export.tracer)

    def make_note_taker(self, api: Api) -> TakeNote:
        """Return what counts the calls of a management API."""
        return make_taker(self._sheet, api)

    def metrics_reception(self) -> MetricsReception:
        """Make what takes the requests of the metrics listener."""
        return MetricsReception(self.write_figures, self.probes)

    def count_purged(self, rows: int) -> None:
        """Take note of rows that were removed because they had expired."""
        add_to(self._sheet, catalogue.PURGED, float(rows))

    async def write_figures(self) -> bytes:
        """Return the page of figures, as all workers stand now."""
        self.pulse.beat()
        figures = await sum_sheets(self._board)
        for family, labels, value in [*self._server_figures(), *await self._deployment_figures()]:
            figures[family][labels] = [value]
        return await write_text(figures)

    async def close(self) -> None:
        """Send what spans are left."""
        if self._export is not None:
            await self._export.close()

    def _make_pulse(self) -> Pulse:
        store, clients = self._administration.store, self._watched.clients
        return Pulse(
            self._sheet,
            self._number,
            gauges={
                catalogue.WAITING: lambda: store.writer.waiting,
                catalogue.LEADER: lambda: store.leadership.is_leading,
                catalogue.AUDIT_BROKEN: lambda: store.leadership.is_leading and self._watched.is_audit_broken(),
            },
            grown={
                catalogue.CACHE_HITS: lambda: clients.hits,
                catalogue.CACHE_MISSES: lambda: clients.misses,
            },
        )

    def _server_figures(self) -> Iterator[Figure]:
        now = time.monotonic()
        live = [sheet for sheet in self._board.sheets if now - sheet.last_beat < LIVE_S and sheet.last_beat]
        yield catalogue.WORKERS, (), float(len(live))
        yield catalogue.START_TIME, (), self._board.started_at
        yield catalogue.BUILD, (__version__, platform.python_version()), 1.0
        yield catalogue.TENANTS, (), float(self._watched.count_tenants())
        if is_postgresql(self._settings.database):
            return
        path = database_path(self._settings.database)
        for name, suffix in DATABASE_FILES.items():
            with suppress(OSError):
                yield catalogue.DATABASE_SIZE, (name,), float(Path(f"{path}{suffix}").stat().st_size)

    async def _deployment_figures(self) -> list[Figure]:
        """What stands in the database; nothing while it cannot be read, as the other figures matter most then."""
        try:
            ages = await self._key_ages.read()
            secrets = await self._expiring_secrets(self._administration)
        except StoreError:
            return []
        figures: list[Figure] = []
        for age in ages:
            labels = (age.tenant_id, age.alg)
            figures.append((catalogue.KEY_AGE, labels, float(age.age_s)))
            figures.append((catalogue.NEXT_ROTATION, labels, float(age.next_rotation)))
        return figures + [(catalogue.EXPIRING_SECRETS, (tenant,), float(count)) for tenant, count in secrets.items()]

    async def _has_tenants(self) -> bool:
        return self._watched.is_loaded()

    async def _has_writer(self) -> bool:
        return self._administration.store.writer.is_alive

    async def _is_known(self) -> bool:
        return self._watched.is_known()

    async def _can_read(self) -> bool:
        try:
            await self._administration.store.deployment.look()
        except StoreError:
            return False
        return True


def make_measure(sheet: Sheet) -> Callable[[Callable[[], list[object]], int], list[object]]:
    """Return what measures the commits of a writer. It runs in the writer's thread."""
    observe_duration = make_histogram(sheet, catalogue.COMMIT)
    observe_batch = make_histogram(sheet, catalogue.BATCH)

    def measure(commit: Callable[[], list[object]], writes: int) -> list[object]:
        began = perf_counter()
        results = commit()
        observe_duration(perf_counter() - began)
        observe_batch(float(writes))
        return results

    return measure


def require_telemetry() -> None:
    """Make sure that traces can be sent. Raises: SettingsError, which names the extra."""
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: PLC0415 an extra that may not be there
        import opentelemetry.sdk.trace  # noqa: F401, PLC0415
    except ImportError as error:
        raise SettingsError(EXTRA) from error
