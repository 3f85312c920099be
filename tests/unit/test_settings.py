"""The settings: where each may come from, which source wins, and what the error says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mintmark.admin.deployment import read_bounds
from mintmark.protocol.errors import SettingsError
from mintmark.settings import FIELDS, SERVICE_VARIABLE, Settings, load_settings
from mintmark.store.bounds import Bounds


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "mintmark.toml") -> Path:
    file = Path(name)
    file.write_text(text)
    return file


def refusal(text: str = "", environment: dict[str, str] | None = None, overrides: dict[str, object] | None = None):
    with pytest.raises(SettingsError) as caught:
        load_settings(write(text), overrides or {}, environment or {})
    return str(caught.value)


def test_with_nothing_said_the_defaults_hold():
    assert load_settings(None, {}, {}) == Settings()


def test_the_file_in_the_working_folder_is_read_unless_another_is_named():
    write("workers = 2")
    other = write("workers = 3", "other.toml")
    assert load_settings(None, {}, {}).workers == 2
    assert load_settings(other, {}, {}).workers == 3


def test_the_environment_names_a_file_and_the_command_line_another():
    write("workers = 2")
    environment = {"MINTMARK_SETTINGS": str(write("workers = 3", "other.toml"))}
    assert load_settings(None, {}, environment).workers == 3
    assert load_settings(write("workers = 4", "named.toml"), {}, environment).workers == 4
    with pytest.raises(SettingsError, match=r"absent\.toml: cannot be read"):
        load_settings(None, {}, {"MINTMARK_SETTINGS": "absent.toml"})


def test_a_file_holds_no_master_key_and_the_refusal_does_not_repeat_it():
    said = refusal("master_key = 'hush'")
    assert said.startswith("mintmark.toml: master_key: not in a file")
    assert "hush" not in said


def test_the_environment_wins_over_the_file_and_the_command_line_over_both():
    file = write("workers = 2\nlog_level = 'error'\nfailures_per_client = 7")
    environment = {"MINTMARK_WORKERS": "3", "MINTMARK_LOG_LEVEL": "debug", "PATH": "/bin"}
    settings = load_settings(file, {"workers": 4, "log_level": None}, environment)
    assert (settings.workers, settings.log_level, settings.failures_per_client) == (4, "debug", 7)


def test_every_setting_can_come_from_the_environment():
    values = {name: SAMPLES[name] for name in FIELDS}
    environment = {f"MINTMARK_{name.upper()}": text for name, (text, _) in values.items()}
    settings = load_settings(None, {}, environment)
    assert {name: getattr(settings, name) for name in FIELDS} == {name: value for name, (_, value) in values.items()}


SAMPLES: dict[str, tuple[str, object]] = {
    "state_dir": ("/srv/m", Path("/srv/m")),
    "key_lifetime_s": ("1000000", 1_000_000),
    "key_announce_s": ("600", 600),
    "audit_tokens": ("false", False),
    "audit_checkpoint_interval_s": ("60", 60),
    "open_api_calls_per_s": ("10", 10),
    "audit_retention_s": ("86400", 86_400),
    "audit_event_retention_s": ("7200", 7_200),
    "secret_expiry_notice_s": ("3600", 3600),
    "upkeep_interval_s": ("2.5", 2.5),
    "database_url": ("sqlite:////srv/m.db", "sqlite:////srv/m.db"),
    "master_key": ("k", "k"),
    "master_key_file": ("/srv/k", Path("/srv/k")),
    "listen": ("http://127.0.0.1:1, http://127.0.0.1:2", ("http://127.0.0.1:1", "http://127.0.0.1:2")),
    "tls_certificate": ("c.pem", Path("c.pem")),
    "tls_private_key": ("k.pem", Path("k.pem")),
    "workers": ("2", 2),
    "trusted_proxies": ("10.0.0.0/8,::1", ("10.0.0.0/8", "::1")),
    "public_url": ("https://id.example", "https://id.example"),
    "dialects_dir": ("d", Path("d")),
    "client_cache_size": ("5", 5),
    "refresh_interval_s": ("1.5", 1.5),
    "refresh_timeout_s": ("0.5", 0.5),
    "cache_max_age_s": ("0", 0.0),
    "shed_after_s": ("0.2", 0.2),
    "database_connect_timeout_s": ("3", 3),
    "database_statement_timeout_s": ("20", 20.0),
    "database_lock_timeout_s": ("20", 20.0),
    "database_readers": ("8", 8),
    "database_reads_waiting": ("50", 50),
    "database_writes_waiting": ("60", 60),
    "database_wait_s": ("2", 2.0),
    "database_slow_after_s": ("0.5", 0.5),
    "failures_per_client": ("3", 3),
    "failures_per_source": ("4", 4),
    "shutdown_grace_s": ("0", 0.0),
    "log_level": ("warning", "warning"),
    "log_format": ("json", "json"),
    "shutdown_delay_s": ("5", 5.0),
    "log_requests": ("true", True),
    "metrics_listen": ("", ""),
    "otlp_endpoint": ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
    "trace_sample_ratio": ("0.5", 0.5),
}


def test_paths_that_are_not_set_lie_in_the_state_dir():
    settings = Settings(state_dir=Path("/srv/m"))
    assert settings.database == "sqlite:////srv/m/mintmark.db"
    assert settings.key_file == Path("/srv/m/master.key")
    own = Settings(database_url="sqlite:////d", master_key_file=Path("/k"))
    assert (own.database, own.key_file) == ("sqlite:////d", Path("/k"))


def test_the_bounds_of_the_store_are_as_the_settings_say():
    assert read_bounds(Settings()) == Bounds()
    values: dict[str, Any] = dict.fromkeys(msgspec.structs.asdict(Bounds()), 7)
    named = {f"database_{name}": value for name, value in values.items() if name != "look_timeout_s"}
    assert read_bounds(Settings(refresh_timeout_s=7, **named)) == Bounds(**values)


def test_the_master_key_is_not_in_the_repr():
    assert "hush" not in repr(Settings(master_key="hush"))


BOUNDS: list[tuple[str, list[object], list[object], str]] = [
    ("workers", [1, 512], [0, -1, 513], "must be from 1 to 512"),
    ("client_cache_size", [1], [0], "must be 1 or more"),
    ("refresh_interval_s", [0.05, 60, 1], [0, 0.04, 60.5, "nan", "inf"], "must be from 0.05 to 60 seconds"),
    ("refresh_timeout_s", [0.05, 60], [0, 61, "nan"], "must be from 0.05 to 60 seconds"),
    ("cache_max_age_s", [0, 86400], [-1, 86401, "inf", "nan"], "must be from 0 to 86400 seconds"),
    ("shed_after_s", [0.01, 60], [0, 61], "must be from 0.01 to 60 seconds"),
    ("database_connect_timeout_s", [2, 300], [1, 301], "must be from 2 to 300 seconds"),
    ("database_statement_timeout_s", [9, 600], [0, 601, "inf"], "must be from 0.1 to 600 seconds"),
    ("database_lock_timeout_s", [0.1, 10], [0, 11], "must be from 0.1 seconds to database_statement_timeout_s, 10"),
    ("database_readers", [1, 64], [0, 65], "must be from 1 to 64"),
    ("database_reads_waiting", [1, 100000], [0, 100001], "must be from 1 to 100000"),
    ("database_writes_waiting", [1, 100000], [0, 100001], "must be from 1 to 100000"),
    ("database_wait_s", [0.1, 600], [0, 601], "must be from 0.1 to 600 seconds"),
    ("database_slow_after_s", [0.05, 600], [0, 601], "must be from 0.05 to 600 seconds"),
    ("failures_per_client", [1], [0], "must be 1 or more"),
    ("failures_per_source", [1], [0], "must be 1 or more"),
    ("shutdown_grace_s", [0, 3600], [-0.1, 3601], "must be from 0 to 3600 seconds"),
    ("shutdown_delay_s", [0, 3600], [-0.1, 3601], "must be from 0 to 3600 seconds"),
    (
        "otlp_endpoint",
        ['""', '"http://127.0.0.1:4318"', '"https://otel.example/v1/traces"'],
        ['"127.0.0.1:4318"', '"http://"', '"grpc://collector"'],
        "must be a URL, http:// or https://, or empty",
    ),
    ("trace_sample_ratio", [0, 0.5, 1], [-0.1, 1.1, "nan"], "must be from 0 to 1"),
    ("log_level", ['"debug"', '"error"'], ['"DEBUG"', '"loud"'], "must be one of debug, info, warning, error"),
    ("log_format", ['"text"', '"json"'], ['"xml"'], "must be text or json"),
    ("listen", ['["http://127.0.0.1:1"]'], ["[]"], "must be at least one address"),
]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, good, _, _ in BOUNDS for value in good])
def test_a_value_at_its_bound_is_taken(name, value):
    load_settings(write(f"{name} = {value}"), {}, {})


@pytest.mark.parametrize(
    ("name", "value", "said"), [(name, value, said) for name, _, bad, said in BOUNDS for value in bad]
)
def test_a_value_out_of_bounds_is_refused_by_file_and_key(name, value, said):
    assert refusal(f"{name} = {value}") == f"mintmark.toml: {name}: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('workers = "2"', "mintmark.toml: workers: Expected `int`, got `str`"),
        ("workers = 2.5", "mintmark.toml: workers: Expected `int`"),
        ("state_dir = 3", "mintmark.toml: state_dir: "),
        ('listen = "http://127.0.0.1:1"', "mintmark.toml: listen: Expected `array`, got `str`"),
        ('listen = ["http://127.0.0.1:1", 2]', "mintmark.toml: listen[1]: Expected `str`, got `int`"),
        ("worker = 2", "mintmark.toml: worker: unknown setting; did you mean workers?"),
        ("zzz = 2", "mintmark.toml: zzz: unknown setting"),
        ("[serve]\nworkers = 2", "mintmark.toml: serve: unknown setting"),
        ("workers =", "mintmark.toml: not a TOML file: "),
    ],
)
def test_a_fault_in_the_file_names_file_and_key(text, said):
    assert refusal(text).startswith(said)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MINTMARK_WORKERS", "two", "MINTMARK_WORKERS: workers: Expected `int`, got `str`"),
        ("MINTMARK_WORKERS", "0", "MINTMARK_WORKERS: workers: must be from 1 to 512"),
        ("MINTMARK_LISTEN", " , ", "MINTMARK_LISTEN: listen: must be at least one address"),
        ("MINTMARK_LISTENS", "x", "MINTMARK_LISTENS: unknown setting; did you mean listen?"),
        ("MINTMARK_", "x", "MINTMARK_: unknown setting"),
    ],
)
def test_a_fault_in_the_environment_names_the_variable(variable, value, said):
    assert refusal(environment={variable: value}) == said


def test_a_fault_on_the_command_line_is_said_to_be_there():
    assert refusal(overrides={"workers": 0}) == "command line: workers: must be from 1 to 512"


def test_a_named_file_has_to_be_there_and_readable():
    for name, said in (("absent.toml", "No such file or directory"), (".", "Is a directory")):
        with pytest.raises(SettingsError, match=said):
            load_settings(Path(name), {}, {})


def test_octets_that_are_no_text_are_not_a_toml_file():
    Path("mintmark.toml").write_bytes(b'log_level = "\xff"')
    with pytest.raises(SettingsError, match=r"mintmark\.toml: not a TOML file"):
        load_settings(None, {}, {})


def test_bounds_are_checked_over_all_sources_together():
    announce = {"MINTMARK_KEY_ANNOUNCE_S": "600"}
    short = {"MINTMARK_KEY_LIFETIME_S": "700", **announce}
    assert load_settings(None, {}, short).key_lifetime_s == 700
    assert load_settings(write("key_lifetime_s = 700"), {}, announce).key_lifetime_s == 700
    assert load_settings(None, {"key_lifetime_s": 700}, announce).key_lifetime_s == 700


def test_bounds_that_sources_break_together_are_refused():
    said = refusal("key_lifetime_s = 700", {"MINTMARK_KEY_ANNOUNCE_S": "700"})
    assert said == "mintmark.toml: key_lifetime_s: must be longer than key_announce_s, 700"
    said = refusal(environment={"MINTMARK_KEY_ANNOUNCE_S": "9000000"})
    assert said == "default: key_lifetime_s: must be longer than key_announce_s, 9000000"


def test_a_value_that_another_source_overrides_may_be_out_of_bounds():
    assert load_settings(write("workers = 0"), {"workers": 3}, {}).workers == 3


KUBERNETES = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR"]


@pytest.mark.parametrize("name", KUBERNETES)
def test_what_kubernetes_says_of_a_service_is_no_setting(name):
    assert load_settings(None, {}, {f"MINTMARK_{name}": "tcp://10.0.0.1:8080"}) == Settings()


@pytest.mark.parametrize("name", ["PORTS", "SERVICE", "PUBLIC_PORT", "XPORT_1"])
def test_what_only_looks_like_it_still_stops_the_start(name):
    assert f"MINTMARK_{name}: unknown setting" in refusal(environment={f"MINTMARK_{name}": "x"})


def test_no_setting_has_a_name_that_kubernetes_may_use():
    assert not [name for name in FIELDS if SERVICE_VARIABLE.fullmatch(f"MINTMARK_{name.upper()}")]
