"""Every metric, one row each: name, kind, labels, and what it tells. The page of metrics is written from these rows.

A label's value comes from a closed list, or is a tenant that exists; never from a request.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCHES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 400.0)
OVERFLOW: Final = "other"
"""Every label of the series that takes what no more series can be made for."""


class Family(NamedTuple):
    """One metric. Of a gauge without a label `worker` the workers' values are added."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets."""

    @property
    def slots(self) -> int:
        """How many numbers one series holds: for a histogram its buckets, the one above all bounds, and the sum."""
        return len(self.bounds) + 2 if self.bounds else 1


ISSUED: Final = Family(
    "mintmark_tokens_issued_total", "counter", "Token requests answered with a token.", ("tenant", "dialect", "grant")
)
REFUSED: Final = Family(
    "mintmark_tokens_refused_total",
    "counter",
    "Token requests refused, by reason.",
    ("tenant", "dialect", "grant", "reason"),
)
OTHERS_REFUSED: Final = Family(
    "mintmark_requests_refused_total",
    "counter",
    "Requests to other endpoints refused, by reason.",
    ("tenant", "dialect", "endpoint", "reason"),
)
REQUEST: Final = Family(
    "mintmark_request_duration_seconds",
    "histogram",
    "Time that requests took, from their beginning to their answer.",
    ("endpoint",),
    SECONDS,
)
CALLS: Final = Family(
    "mintmark_management_calls_total",
    "counter",
    "Calls of the management APIs, by what became of them.",
    ("api", "tenant", "operation", "outcome"),
)
CALL: Final = Family(
    "mintmark_management_call_duration_seconds",
    "histogram",
    "Time that calls of the management APIs took.",
    ("api", "operation"),
    SECONDS,
)
BATCH: Final = Family("mintmark_commit_batch_writes", "histogram", "Writes that one group commit held.", (), BATCHES)
COMMIT: Final = Family(
    "mintmark_commit_duration_seconds", "histogram", "Time of one group commit, its sync to disk included.", (), SECONDS
)
WAITING: Final = Family("mintmark_writer_queue_length", "gauge", "Writes that wait for the next group commit.")
CACHE_HITS: Final = Family("mintmark_client_cache_hits_total", "counter", "Registered clients found in memory.")
CACHE_MISSES: Final = Family(
    "mintmark_client_cache_misses_total", "counter", "Registered clients looked for in the database."
)
KEY_AGE: Final = Family(
    "mintmark_signing_key_age_seconds", "gauge", "Time since the signing key began to sign.", ("tenant", "alg")
)
NEXT_ROTATION: Final = Family(
    "mintmark_signing_key_next_rotation_timestamp_seconds",
    "gauge",
    "When the next signing key takes over, as the schedule has it.",
    ("tenant", "alg"),
)
EXPIRING_SECRETS: Final = Family("mintmark_expiring_secrets", "gauge", "Client secrets that expire soon.", ("tenant",))
TENANTS: Final = Family("mintmark_tenants", "gauge", "Tenants that are loaded, suspended ones included.")
PURGED: Final = Family("mintmark_purged_rows_total", "counter", "Expired rows of tokens removed.")
LEADER: Final = Family("mintmark_leader", "gauge", "1 where a worker of this server leads, else 0.")
AUDIT_BROKEN: Final = Family(
    "mintmark_audit_broken",
    "gauge",
    "1 where the audit log does not go on from its sealed head, as the leader sees it.",
)
WORKERS: Final = Family("mintmark_workers", "gauge", "Workers whose event loop turned within the last ten seconds.")
WORKER_STARTS: Final = Family(
    "mintmark_worker_starts_total", "counter", "Starts of worker processes, the first ones included."
)
DATABASE_SIZE: Final = Family(
    "mintmark_database_size_bytes", "gauge", "Size of the database's file, and of its write-ahead log.", ("file",)
)
START_TIME: Final = Family("mintmark_start_time_seconds", "gauge", "When this server was started.")
BUILD: Final = Family("mintmark_build_info", "gauge", "1, with the release that runs.", ("version", "python"))
CPU: Final = Family(
    "process_cpu_seconds_total", "counter", "Processor time of a worker, its earlier processes included.", ("worker",)
)
RESIDENT: Final = Family("process_resident_memory_bytes", "gauge", "Resident memory of a worker.", ("worker",))
OPEN_FILES: Final = Family("process_open_fds", "gauge", "Open file descriptors of a worker.", ("worker",))
MAX_FILES: Final = Family("process_max_fds", "gauge", "File descriptors that a worker may open.", ("worker",))
WORKER_START_TIME: Final = Family(
    "process_start_time_seconds", "gauge", "When a worker's process began to serve.", ("worker",)
)

FAMILIES: Final[tuple[Family, ...]] = (
    ISSUED,
    REFUSED,
    OTHERS_REFUSED,
    REQUEST,
    CALLS,
    CALL,
    BATCH,
    COMMIT,
    WAITING,
    CACHE_HITS,
    CACHE_MISSES,
    KEY_AGE,
    NEXT_ROTATION,
    EXPIRING_SECRETS,
    TENANTS,
    PURGED,
    LEADER,
    AUDIT_BROKEN,
    WORKERS,
    WORKER_STARTS,
    DATABASE_SIZE,
    START_TIME,
    BUILD,
    CPU,
    RESIDENT,
    OPEN_FILES,
    MAX_FILES,
    WORKER_START_TIME,
)
"""All of them, in the order in which they are written."""

BY_NAME: Final = {family.name: family for family in FAMILIES}
