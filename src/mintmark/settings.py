"""The settings of a server, typed, from a file, the environment and the command line, in that rising order.

A setting that is unknown or of another type stops the start, with file and key.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from mintmark.protocol.errors import SettingsError

ENVIRONMENT_PREFIX: Final = "MINTMARK_"
SERVICE_VARIABLE: Final = re.compile(r"MINTMARK_(SERVICE_.*|PORT|PORT_.*)")
"""What Kubernetes puts into every container beside a Service named mintmark: none of it is ours."""
SETTINGS_FILE: Final = Path("mintmark.toml")
FILE_VARIABLE: Final = "MINTMARK_SETTINGS"
"""Names the file, as `--settings` does."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every setting, its default, and under it the meaning and unit. In the environment: MINTMARK_ and upper case."""

    state_dir: Path = Path("var")
    """Folder of the database, the master key and the demo's certificate."""
    database_url: str = ""
    """`sqlite:///path`, or `postgresql://user@host/name`; empty: mintmark.db in state_dir."""
    master_key: str = ""
    """The master key itself, 32 octets in base64url: in the environment alone, refused in a file."""
    master_key_file: Path | None = None
    """File that holds the master key; left out: master.key in state_dir."""
    listen: tuple[str, ...] = ("http://127.0.0.1:8080",)
    """Addresses to listen on. Plain HTTP off loopback needs trusted_proxies."""
    tls_certificate: Path | None = None
    """PEM file of the certificate chain, for https listeners."""
    tls_private_key: Path | None = None
    """PEM file of its private key."""
    workers: int = 1
    """Processes."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies that end TLS in front; their X-Forwarded headers alone are believed."""
    public_url: str = ""
    """URL under which tenants are reached from outside, and from which issuers are made; empty: the first listener."""
    dialects_dir: Path | None = None
    """Folder of your own dialect files."""
    client_cache_size: int = 100_000
    """Registered clients kept in each process's memory, at some 0.7 KB each."""
    refresh_interval_s: float = 0.5
    """Seconds between looks for changes that another process made."""
    refresh_timeout_s: float = 1.0
    """Seconds after which such a look is given up."""
    cache_max_age_s: float = 30.0
    """Seconds for which a process answers from memory when it cannot learn what has changed; 0: it looks each time."""
    shed_after_s: float = 0.25
    """Seconds that requests may wait for those before them; where they wait longer, a part is answered 503 at once."""
    database_connect_timeout_s: int = 5
    """Seconds to connect to PostgreSQL, where the URL does not say otherwise."""
    database_statement_timeout_s: float = 10.0
    """Seconds that one statement of PostgreSQL may take."""
    database_lock_timeout_s: float = 9.0
    """Seconds of them for a lock that another node holds."""
    database_readers: int = 4
    """Reads of PostgreSQL at the same time, in each process; each has a connection."""
    database_reads_waiting: int = 1000
    """Reads that may wait in a process; the next one is refused."""
    database_writes_waiting: int = 2000
    """Writes that may wait in a process, in each queue; the next one is refused."""
    database_wait_s: float = 10.0
    """Seconds that a write may wait to be begun, and a read to be done."""
    database_slow_after_s: float = 1.0
    """Seconds of one commit after which writes that come meanwhile are refused."""
    failures_per_client: int = 20
    """Failed authentications a minute that one caller may make for one client."""
    failures_per_source: int = 200
    """Failed authentications a minute that one caller may make in all."""
    open_api_calls_per_s: int = 0
    """Calls of the Omada Open API a second that one token may make of one worker; 0: any number. Theirs take 10."""
    key_lifetime_s: int = 90 * 86_400
    """Seconds for which a signing key signs before its successor does."""
    key_announce_s: int = 2 * 86_400
    """Seconds for which a signing key is published before it signs; at least 360, key sets being kept for 300."""
    audit_tokens: bool = True
    """Whether issued tokens are written to the audit log, by `jti` or digest."""
    audit_checkpoint_interval_s: int = 300
    """Seconds between signed checkpoints of the audit log."""
    audit_retention_s: int = 400 * 86_400
    """Seconds for which records of the audit log are kept."""
    audit_event_retention_s: int = 90 * 86_400
    """Seconds for which the audit log keeps what issued tokens, refusals and other events were, if not shorter."""
    secret_expiry_notice_s: int = 14 * 86_400
    """Seconds before a secret's expiry from which on it is announced, once a day in the log."""
    upkeep_interval_s: float = 5.0
    """Seconds between looks for what has expired and for keys whose turn has come."""
    shutdown_delay_s: float = 0.0
    """Seconds after SIGTERM or SIGINT in which /readyz says no and requests are still taken, for load balancers."""
    shutdown_grace_s: float = 10.0
    """Seconds that requests in hand may take to finish after that."""
    log_level: str = "info"
    """debug, info, warning or error."""
    log_format: str = "text"
    """text or json."""
    log_requests: bool = False
    """Whether each issued token is logged, too."""
    metrics_listen: str = "http://127.0.0.1:9464"
    """Address of metrics and probes, for whoever reaches it; empty: none."""
    otlp_endpoint: str = ""
    """URL of an OpenTelemetry collector that takes OTLP over HTTP (`http://127.0.0.1:4318`); empty: no traces."""
    trace_sample_ratio: float = 0.1
    """Share of the requests that is traced, from 0 to 1."""

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.state_dir / 'mintmark.db'}"

    @property
    def key_file(self) -> Path:
        """The master key's file."""
        return self.master_key_file or self.state_dir / "master.key"

    def __repr__(self) -> str:
        return f"Settings(state_dir={str(self.state_dir)!r})"


FIELDS: Final = {field.name: field for field in msgspec.structs.fields(Settings)}
MIN_ANNOUNCE_S: Final = 360
"""A verifier may keep the key set for 300 seconds, and a process may hear of a key up to a minute after it was made."""
MIN_RETENTION_S: Final = 3600
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
ANY: Final = math.inf
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "workers": (1, 512),
    "client_cache_size": (1, ANY),
    "refresh_interval_s": (0.05, 60),
    "refresh_timeout_s": (0.05, 60),
    "cache_max_age_s": (0, 86_400),
    "shed_after_s": (0.01, 60),
    "database_connect_timeout_s": (2, 300),
    "database_statement_timeout_s": (0.1, 600),
    "database_readers": (1, 64),
    "database_reads_waiting": (1, 100_000),
    "database_writes_waiting": (1, 100_000),
    "database_wait_s": (0.1, 600),
    "database_slow_after_s": (0.05, 600),
    "failures_per_client": (1, ANY),
    "failures_per_source": (1, ANY),
    "open_api_calls_per_s": (0, ANY),
    "shutdown_delay_s": (0, 3600),
    "shutdown_grace_s": (0, 3600),
    "key_announce_s": (MIN_ANNOUNCE_S, ANY),
    "audit_checkpoint_interval_s": (1, 86_400),
    "audit_retention_s": (MIN_RETENTION_S, ANY),
    "audit_event_retention_s": (MIN_RETENTION_S, ANY),
    "secret_expiry_notice_s": (0, ANY),
    "upkeep_interval_s": (0.05, 3600),
    "trace_sample_ratio": (0, 1),
}
"""The least and the most that a number may be, where no other setting has a say in it."""


class Given(NamedTuple):
    """A value of the right type, and the file, variable or command line that it came from."""

    value: Any
    origin: str


def load_settings(
    file: Path | None, overrides: Mapping[str, Any], environment: Mapping[str, str] = os.environ
) -> Settings:
    """Read the settings.

    Args:
        file: a TOML file; None: the one that the environment names, or `mintmark.toml` here, if it is there.
        overrides: from the command line; None values do not count.
        environment: `MINTMARK_LISTEN` and so on; a list is separated by commas.

    Raises:
        SettingsError: names the file or variable, and the key.
    """
    on_the_line = {name: value for name, value in overrides.items() if value is not None}
    given = (
        _from_file(find_file(file, environment))
        | _from_environment(environment)
        | _read_typed(on_the_line, "command line")
    )
    settings = Settings(**{name: one.value for name, one in given.items()})
    # Only now: what one source says may be right only beside what another says.
    for name, is_right, wanted in _rules(settings):
        if not is_right:
            origin = given[name].origin if name in given else "default"
            raise SettingsError(f"{origin}: {name}: must be {wanted}")
    return settings


def find_file(file: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that settings are read from: the one that is given, else as `load_settings` says; or None."""
    named = environment.get(FILE_VARIABLE)
    if file is None and named is not None:
        return Path(named)
    return file or (SETTINGS_FILE if SETTINGS_FILE.exists() else None)


def _from_file(path: Path | None) -> dict[str, Given]:
    if path is None:
        return {}
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error
    for name in values:
        _require_known(name, f"{path}: {name}")
    if "master_key" in values:
        raise SettingsError(f"{path}: master_key: not in a file, which is copied and shown; name one: master_key_file")
    return _read_typed(values, str(path))


def _from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or SERVICE_VARIABLE.fullmatch(variable):
            continue
        if variable == FILE_VARIABLE:  # not a setting, but where they are
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        _require_known(name, variable)
        is_list = isinstance(FIELDS[name].default, tuple)
        value = [part.strip() for part in text.split(",") if part.strip()] if is_list else text
        given |= _read_typed({name: value}, variable, strict=False)
    return given


def _require_known(name: str, origin: str) -> None:
    if name not in FIELDS:
        close = difflib.get_close_matches(name, FIELDS, 1)
        raise SettingsError(f"{origin}: unknown setting" + (f"; did you mean {close[0]}?" if close else ""))


def _read_typed(values: Mapping[str, Any], origin: str, *, strict: bool = True) -> dict[str, Given]:
    """Check names and types of what one source says. `strict`: a number written as text is none."""
    try:
        settings = msgspec.convert(dict(values), Settings, strict=strict, dec_hook=_read_path)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        raise SettingsError(f"{origin}: {place.rstrip('`')}: {message}") from error
    return {name: Given(getattr(settings, name), origin) for name in values}


def describe_range(name: str) -> str:
    """Return in words which values a setting of RANGES may have."""
    least, most = RANGES[name]
    unit = " seconds" if name.endswith("_s") and not name.endswith("_per_s") else ""
    return f"{least:g}{unit} or more" if most is ANY else f"from {least:g} to {most:g}{unit}"


def _rules(settings: Settings) -> list[tuple[str, bool, str]]:
    """Return for each setting that not every value is good for: its name, whether it is right, and what is wanted."""
    ranges = [
        (name, least <= getattr(settings, name) <= most, describe_range(name)) for name, (least, most) in RANGES.items()
    ]
    return [
        *ranges,
        (
            "database_lock_timeout_s",
            0.1 <= settings.database_lock_timeout_s <= settings.database_statement_timeout_s,
            f"from 0.1 seconds to database_statement_timeout_s, {settings.database_statement_timeout_s:g}",
        ),
        (
            "key_lifetime_s",
            settings.key_lifetime_s > settings.key_announce_s,
            f"longer than key_announce_s, {settings.key_announce_s}",
        ),
        ("log_level", settings.log_level in LOG_LEVELS, f"one of {', '.join(LOG_LEVELS)}"),
        ("log_format", settings.log_format in {"text", "json"}, "text or json"),
        ("otlp_endpoint", is_url(settings.otlp_endpoint), "a URL, http:// or https://, or empty"),
        ("listen", bool(settings.listen), "at least one address"),
    ]


def is_url(text: str) -> bool:
    """Tell whether a text is the URL of a server, or empty."""
    return not text or re.fullmatch(r"https?://[^/\s]+\S*", text) is not None


def _read_path(wanted: type, value: Any) -> Any:
    if wanted is Path and isinstance(value, (str, Path)):
        return Path(value)
    raise ValueError("Expected `str`")  # msgspec adds where
