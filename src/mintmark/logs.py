"""Structured logs on standard error: text for a person, JSON for a machine. Tracebacks never show local values."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict

from mintmark.protocol.errors import StoreUnavailable
from mintmark.settings import Settings


def configure_logs(settings: Settings) -> None:
    """Set up structlog, and quiet the libraries."""
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            name_what_is_away,
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    # uvicorn warns of each malformed request: a stranger could fill the log with them.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # It warns of what it leaves unsaid when a session ends; whoever called is told of the end itself.
    logging.getLogger("psycopg").setLevel(logging.ERROR)


def name_what_is_away(_: object, __: str, event: EventDict) -> EventDict:
    """Say in one line that the database is away: at which place of the program it was missed would only bury that."""
    if isinstance(event.get("exc_info"), StoreUnavailable):
        event["error"] = str(event.pop("exc_info"))
    return event
