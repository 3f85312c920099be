"""The deployment that is soaked: nodes, the database and its standby, the load balancer, all on loopback.

Every node reaches the database at a loopback address of its own, so that a rule of the firewall cuts off it alone.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final, Self
from urllib.request import urlopen

from soak.asking import OMADAC_ID, Client
from soak.broken import LabError
from soak.laws import MEMORY_S
from tests.endpoints.servers import MINTMARK, clean_environment, find_free_port, run_mintmark
from tests.postgresql import FAST, PASSWORD, PATIENCE_S, USER, Postgres, find_programs, unprivileged

WORKERS: Final = 2
ISSUER: Final = "https://id.example"
CLOCK_LIBRARY: Final = "/usr/lib/*/faketime/libfaketimeMT.so.1"
CLOCK_SEEN_S: Final = 2.0
"""It looks for another time once a second."""
STARTS_WITHIN_S: Final = 30.0
TABLE: Final = "mintmark_soak"
SERVER_SETTINGS: Final = {"max_connections": "200", "shared_buffers": "128MB", "wal_keep_size": "1GB"}
STANDBY_SETTINGS: Final = {"hot_standby": "on", "wal_retrieve_retry_interval": "500ms"}
TENANTS: Final = f"""
[tenants.standard]
dialect = "oauth2"
issuer = "{ISSUER}"
[tenants.wso2]
dialect = "wso2"
issuer = "{ISSUER}/wso2"
[tenants.omada]
dialect = "omada"
issuer = "{ISSUER}/omada"
identifier = "{OMADAC_ID}"
"""
PROXY: Final = """
global
    maxconn 4000
defaults
    mode http
    option redispatch
    retries 2
    timeout connect 2s
    timeout queue 2s
    timeout client 30s
    timeout server 15s
    timeout check 1s
    default-server check inter 500ms fastinter 200ms fall 2 rise 1
# Where no node is ready, the database is away: then those that live still give JWTs.
frontend front
    bind 127.0.0.1:{port}
    use_backend ready if {{ nbsrv(ready) gt 0 }}
    default_backend living
"""
BACKEND: Final = """
backend {name}
    balance roundrobin
    option httpchk GET {probe}
    http-response set-header x-node %s
{servers}
"""


def need(program: str, package: str) -> str:
    """Return the path of a program; as root, install it where it is missing. Raises: LabError."""
    where = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if shutil.which(program, path=where) is None:
        install(package)
    found = shutil.which(program, path=where)
    if found is None:
        raise LabError(f"the soak needs {program}: install it (Debian: apt-get install {package})")
    return found


def install(package: str) -> None:
    """Install a package of Debian's, where root may."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        command = f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {package}"
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["sh", "-c", command], env=quiet, check=False, capture_output=True)


def find_clock_library() -> Path:
    """Return libfaketime, which shows a process another time. Raises: LabError."""
    for attempt in range(2):
        found = sorted(Path("/").glob(CLOCK_LIBRARY.lstrip("/")))
        if found:
            return found[0]
        if attempt == 0:
            install("faketime")
    raise LabError("the soak sets a node's clock by libfaketime: install it (Debian: apt-get install faketime)")


class Standby(Postgres):
    """A streaming replica of a cluster."""

    def __init__(self, primary: Postgres) -> None:
        self._programs = find_programs()
        self._folder = primary._folder.with_name(f"{primary._folder.name}-standby")
        self._folder.mkdir()
        self._as_whom = unprivileged()
        if self._as_whom:
            os.chown(self._folder, self._as_whom["user"], self._as_whom["group"])
        self.port = find_free_port()
        self._numbers = count(1)
        self._settings = {**primary._settings, **STANDBY_SETTINGS}
        self._copy(primary)
        self.process = self._start()

    def _copy(self, primary: Postgres) -> None:
        source = f"host=127.0.0.1 port={primary.port} user={USER} password={PASSWORD}"
        program, place = str(self._programs / "pg_basebackup"), str(self._folder / "data")
        command = [program, "-R", "-c", "fast", "-D", place, "-d", source]
        made = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False, **self._as_whom)
        if made.returncode:
            raise LabError(f"pg_basebackup: {made.stderr}")


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when what a process serves at a URL is ready. Raises: LabError."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urlopen(f"{url}/readyz", timeout=5):
            return
        time.sleep(0.05)
    raise LabError(f"{url} did not get ready")


class Node:
    """A `mintmark serve` of several workers: it can be killed whole or in part, and its clock be set."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str], clock: Path | None) -> None:
        self.name = name
        self.port = find_free_port()
        self._folder = folder / name
        self._folder.mkdir()
        self._clock = self._folder / "clock"
        own = {"MINTMARK_STATE_DIR": str(self._folder), "MINTMARK_LISTEN": f"http://127.0.0.1:{self.port}"}
        self.environment = {**environment, **own}
        self._skewed = {} if clock is None else self._clock_settings(clock)
        self._clock.write_text("+0s\n")
        self.start()

    def _clock_settings(self, library: Path) -> dict[str, str]:
        own = {"FAKETIME_TIMESTAMP_FILE": str(self._clock), "FAKETIME_CACHE_DURATION": "1"}
        return {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", **own}

    def set_clock(self, ahead_s: int) -> None:
        """Set the clock so far ahead of the others', and return when its processes have seen it."""
        self._clock.write_text(f"{ahead_s:+d}s\n")
        time.sleep(CLOCK_SEEN_S)

    def start(self) -> None:
        """Start it."""
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [MINTMARK, "serve"],
                cwd=self._folder,
                env=clean_environment(**self.environment, **self._skewed),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        """Where it is asked by itself."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has written."""
        return (self._folder / "log").read_text("utf-8", "replace")

    def wait_until_ready(self) -> None:
        """Return when it takes requests. Raises: LabError."""
        try:
            wait_until_ready(self.url, self.process)
        except LabError as error:
            raise LabError(f"node {self.name} did not start: {self.log[-2000:]}") from error

    def kill_worker(self) -> None:
        """Kill one of its workers, as lack of memory would."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)

    def end(self, how: signal.Signals) -> None:
        """Signal all its processes, and wait for the end."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)
        try:
            self.process.wait(PATIENCE_S / 2)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)


class Lab:
    """All of it. Used as a context manager.

    Args:
        folder: where the nodes keep what they keep.
        nodes: how many.
        is_whole: with a standby, and with clocks that can be set: for all faults, not only for those of processes.
    """

    def __init__(self, folder: Path, *, nodes: int, is_whole: bool) -> None:
        self._folder = folder
        self._count = nodes
        self._is_whole = is_whole
        self._running = ExitStack()
        self.nodes: list[Node] = []
        self.standby: Standby | None = None

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.push(self._running)
            self._start()
            starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _start(self) -> None:
        proxy = need("haproxy", "haproxy")
        clock = find_clock_library() if self._is_whole else None
        addresses = ",".join(["127.0.0.1", *map(address_of, range(self._count))])
        # A process that is killed leaves its writes to the kernel: only the figures of the whole soak need the disk.
        settings = SERVER_SETTINGS | ({} if self._is_whole else FAST) | {"listen_addresses": addresses}
        self.database: Postgres = self._running.enter_context(removed(Postgres(**settings)))
        self._name = self.database.create(is_empty=True).rpartition("/")[2]
        self._ports = [self.database.port]
        if self._is_whole:
            self._running.enter_context(firewall())
            self._add_standby()
        self._make_deployment()
        for number in range(self._count):
            # A clock is set on the last alone: the library that does it costs the process some time.
            one = clock if number == self._count - 1 else None
            node = Node(f"n{number + 1}", self._folder, self._environment(number), one)
            self._running.callback(node.end, signal.SIGTERM)
            self.nodes.append(node)
        for node in self.nodes:
            node.wait_until_ready()
        self._start_proxy(proxy)

    def _add_standby(self) -> None:
        standby = Standby(self.database)
        self._running.enter_context(removed(standby))
        self.standby = standby
        self._ports.append(standby.port)
        # From here on what is acknowledged is on both.
        self.database.set("synchronous_standby_names", "*")

    def _environment(self, number: int) -> dict[str, str]:
        hosts = ",".join(f"{address_of(number)}:{port}" for port in self._ports)
        settings = {
            "database_url": f"postgresql://{USER}:{PASSWORD}@{hosts}/{self._name}?target_session_attrs=read-write",
            "master_key": self._master_key,
            "workers": str(WORKERS),
            "cache_max_age_s": str(MEMORY_S),
            # The machine has more to do than its nodes: that is not the load that they should shed.
            "shed_after_s": "5",
            "log_level": "warning",
            "audit_checkpoint_interval_s": "5",
            "failures_per_client": "1000000",
            "failures_per_source": "1000000",
        }
        return {f"MINTMARK_{name.upper()}": value for name, value in settings.items()} | {"MINTMARK_METRICS_LISTEN": ""}

    def _make_deployment(self) -> None:
        self._master_key = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        shown = self.run("init", "--state-dir", "init")
        found = dict(re.findall(r"^(client_id|client_secret): (\S+)$", shown, re.MULTILINE))
        self.admin = Client("admin", found["client_id"], found["client_secret"])
        (self._folder / "tenants.toml").write_text(TENANTS)
        self.run("apply", "tenants.toml")

    def run(self, *words: str) -> str:
        """Run a command of Mintmark's. Raises: LabError."""
        ended = run_mintmark(*words, cwd=self._folder, **self._environment(0))
        if ended.returncode:
            raise LabError(f"mintmark {' '.join(words[:2])}: {ended.stderr}")
        return ended.stdout

    def _start_proxy(self, program: str) -> None:
        self.port = find_free_port()
        servers = "\n".join(f"    server {node.name} 127.0.0.1:{node.port}" for node in self.nodes)
        probes = {"ready": "/readyz", "living": "/healthz"}
        backends = [BACKEND.format(name=name, probe=probe, servers=servers) for name, probe in probes.items()]
        settings = self._folder / "haproxy.cfg"
        settings.write_text(PROXY.format(port=self.port) + "".join(backends))
        with (self._folder / "haproxy.log").open("wb") as log:
            process = subprocess.Popen([program, "-db", "-f", str(settings)], stdout=log, stderr=log)
        self._running.callback(process.wait)
        self._running.callback(process.terminate)
        wait_until_ready(self.url, process)

    @property
    def url(self) -> str:
        """Where callers ask."""
        return f"http://127.0.0.1:{self.port}"

    def promote_standby(self) -> None:
        """Lose the primary without a word, and let the standby take its place."""
        if self.standby is None:
            raise LabError("there is no standby")
        self.database.kill()
        self.standby.tell("SELECT pg_promote()")
        self.database, self.standby = self.standby, None

    def stop_standby(self) -> None:
        """End the standby in order."""
        if self.standby is not None:
            self.standby.stop()

    def start_standby(self) -> None:
        """Let it follow again."""
        if self.standby is not None:
            self.standby.start()

    def freeze_database(self, how: signal.Signals) -> None:
        """Stop all processes of the database, or let them go on: the machine lives, and says nothing."""
        pid = self.database.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in [pid, *map(int, children)]:
            with suppress(ProcessLookupError):
                os.kill(one, how)


def address_of(number: int) -> str:
    """Return the address at which a node reaches the database."""
    return f"127.0.1.{number + 1}"


@contextmanager
def removed(cluster: Postgres) -> Iterator[Postgres]:
    """Give a cluster, and remove it in the end."""
    try:
        yield cluster
    finally:
        cluster.process.send_signal(signal.SIGCONT)
        cluster.remove()


@contextmanager
def firewall() -> Iterator[None]:
    """Have a table of rules of our own, and take it away in the end. Raises: LabError."""
    need("nft", "nftables")
    if os.geteuid() != 0:
        raise LabError("the whole soak cuts a node off by rules of the firewall: run it as root")
    rules = f"add table inet {TABLE}; add chain inet {TABLE} input {{ type filter hook input priority 0; }}"
    nft(rules)
    try:
        yield
    finally:
        nft(f"delete table inet {TABLE}")


def cut_off(number: int) -> None:
    """Drop every packet between a node and the database."""
    nft(*(f"add rule inet {TABLE} input ip {way} {address_of(number)} drop" for way in ("saddr", "daddr")))


def join() -> None:
    """Let all packets pass again."""
    nft(f"flush chain inet {TABLE} input")


def nft(*rules: str) -> None:
    """Change the firewall. Raises: LabError."""
    ended = subprocess.run(["nft", "; ".join(rules)], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise LabError(f"nft: {ended.stderr}")
