"""Batches of 20 against single calls of the same kind, by REST and by the Omada Open API, on a served demo.

`python -m bench.batch`. A figure is the median time of a batch over that of one call, rounds taken in turns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from bench.processes import find_free_port
from mintmark.admin.demo import ADMINISTRATOR, DEMO, DemoTenant

ACTIONS: Final = 20
WARM_UP: Final = 5
CONTROLLER: Final = next(one for one in DEMO if one.tenant.tenant_id == "omada")
MSP: Final = next(one for one in DEMO if one.tenant.tenant_id == "msp")
NUMBERS: Final = itertools.count()

Waits = dict[tuple[str, int], list[float]]
"""Milliseconds, by what was done and how many of it."""


class Noun(NamedTuple):
    """What is made, changed and removed, and the members that this needs."""

    name: str
    path: str
    key: str
    """The member of a creation's answer that names it in its path."""
    new: Mapping[str, Any]
    """`#` stands for a number of its own."""
    change: tuple[str, Mapping[str, Any]]
    """Method and body."""
    is_read: bool = False
    """Whether a batch may read it."""


class Caller:
    """One connection with a token."""

    def __init__(self, port: int, batch_path: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port)
        self._batch_path = batch_path
        self._headers: dict[str, str] = {}

    def send(self, method: str, path: str, body: object = None) -> Any:
        """Return the JSON of an answer that tells of no failure."""
        octets = None if body is None else json.dumps(body).encode()
        return self._ask(method, path, octets, {"content-type": "application/json", **self._headers})

    def run(self, actions: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Send one action alone, more as a batch, and return what each was answered."""
        if len(actions) == 1:
            return [self._read(self.send(**actions[0]))]
        return self._read_batch(self.send("POST", self._batch_path, {"actions": actions}))

    def _ask(self, method: str, path: str, octets: bytes | None, headers: Mapping[str, str]) -> Any:
        self._connection.request(method, path, octets, dict(headers))
        answer = self._connection.getresponse()
        read = answer.read()
        if answer.status >= 300 or b'"errorCode":-' in read:
            raise SystemExit(f"{method} {path}: {answer.status} {read!r}")
        return json.loads(read) if read else None

    def _read(self, answer: Any) -> Any:
        return answer

    def _read_batch(self, answer: Any) -> list[Any]:
        if any(one["status"] >= 300 for one in answer["results"]):
            raise SystemExit(f"an action failed: {answer}")
        return [one.get("body") for one in answer["results"]]


class RestCaller(Caller):
    """Speaks as the demo's administrator."""

    def __init__(self, port: int, demo: DemoTenant) -> None:
        super().__init__(port, "/api/v1/batch")
        form = urlencode({"grant_type": "client_credentials", **credentials(demo)}).encode()
        path = f"/t/{demo.tenant.tenant_id}/oauth2/token"
        answer = self._ask("POST", path, form, {"content-type": "application/x-www-form-urlencoded"})
        self._headers = {"authorization": f"Bearer {answer['access_token']}"}


class OmadaCaller(Caller):
    """Speaks as an application of the demo."""

    def __init__(self, port: int, demo: DemoTenant) -> None:
        super().__init__(port, below(demo) + "/batch")
        body = {"omadacId": demo.tenant.identifier, **credentials(demo)}
        answer = self.send("POST", "/openapi/authorize/token?grant_type=client_credentials", body)
        self._headers = {"authorization": f"AccessToken={answer['result']['accessToken']}"}

    def _read(self, answer: Any) -> Any:
        return answer.get("result")

    def _read_batch(self, answer: Any) -> list[Any]:
        return [self._read(one) for one in answer["result"]["response"]]


def credentials(demo: DemoTenant) -> dict[str, str]:
    """Return what a demo tenant's client shows."""
    assert demo.client.client_id is not None
    assert demo.client.client_secret is not None
    return {"client_id": demo.client.client_id, "client_secret": demo.client.client_secret.reveal()}


def below(demo: DemoTenant) -> str:
    """Return the path below which an Omada tenant is managed."""
    return f"/openapi/v1/{'msp/' if demo.tenant.is_msp else ''}{demo.tenant.identifier}"


PLACE: Final = {"region": "Germany", "timeZone": "Europe/Berlin", "scenario": "Office"}
TENANT: Final = {"dialect": "oauth2", "issuer": "https://id.example/t/b#", "token_rules": {"alg": "ES256"}}
APPLICATION: Final = {"appName": "bench #", "roleId": "viewer_id", "allSites": True}
ROWS: Final[Sequence[tuple[type[RestCaller | OmadaCaller], DemoTenant, Sequence[Noun]]]] = (
    (
        RestCaller,
        ADMINISTRATOR,
        (
            Noun(
                "client",
                "/api/v1/tenants/default/clients",
                "client_id",
                {"client_name": "bench #", "scope": ["read"]},
                ("PATCH", {"client_name": "changed"}),
                is_read=True,
            ),
            Noun(
                "tenant",
                "/api/v1/tenants",
                "tenant_id",
                {"tenant_id": "b#", **TENANT},
                ("PATCH", {"title": "changed"}),
                is_read=True,
            ),
        ),
    ),
    (
        OmadaCaller,
        CONTROLLER,
        (
            Noun("site", below(CONTROLLER) + "/sites", "siteId", {"name": "bench #", **PLACE}, ("PUT", PLACE)),
            Noun(
                "application",
                below(CONTROLLER) + "/applications",
                "clientId",
                APPLICATION,
                ("PATCH", {"appName": "changed"}),
            ),
        ),
    ),
    (
        OmadaCaller,
        MSP,
        (
            Noun(
                "customer",
                below(MSP) + "/customers",
                "customerId",
                {"customerName": "bench #"},
                ("PATCH", {"description": "changed"}),
            ),
        ),
    ),
)


def measure(caller: Caller, noun: Noun, rounds: int) -> Waits:
    """Make, read, change and remove one and then many, so often."""
    waits: Waits = {}

    def take(verb: str, actions: Sequence[Mapping[str, Any]]) -> list[Any]:
        began = time.perf_counter()
        answers = caller.run(actions)
        waits.setdefault((verb, len(actions)), []).append(1000 * (time.perf_counter() - began))
        return answers

    for count in (1, ACTIONS) * rounds:
        made = take("create", [{"method": "POST", "path": noun.path, "body": numbered(noun.new)} for _ in range(count)])
        paths = [f"{noun.path}/{one[noun.key]}" for one in made]
        if noun.is_read:
            take("get", [{"method": "GET", "path": path} for path in paths])
        method, body = noun.change
        take("change", [{"method": method, "path": path, "body": body} for path in paths])
        take("remove", [{"method": "DELETE", "path": path} for path in paths])
    return waits


def numbered(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members with a number that none had before."""
    number = str(next(NUMBERS))
    return {name: value.replace("#", number) if isinstance(value, str) else value for name, value in members.items()}


@contextmanager
def served_demo(folder: str | None, database: str | None) -> Iterator[int]:
    """Serve a demo of its own, and return its port."""
    port = find_free_port()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        command = [sys.executable, "-m", "mintmark.cli", "serve", "--demo", "--state-dir", str(Path(place) / "var")]
        command += ["--listen", f"http://127.0.0.1:{port}"]
        command += ["--database", database] if database else []
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            if not any("Ctrl-C" in line for line in server.stdout):
                raise SystemExit("the server did not start")
            yield port
        finally:
            server.terminate()
            server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Batches of 20 against single calls.")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--folder", help="where the database lies (default: a temporary folder)")
    parser.add_argument("--database", help="the URL of another database")
    arguments = parser.parse_args()
    with served_demo(arguments.folder, arguments.database) as port:
        for kind, demo, nouns in ROWS:
            caller = kind(port, demo)
            for noun in nouns:
                measure(caller, noun, WARM_UP)
                waits = measure(caller, noun, arguments.rounds)
                for verb in dict.fromkeys(verb for verb, _ in waits):
                    single, batch = (statistics.median(waits[verb, count]) for count in (1, ACTIONS))
                    print(f"{verb} {noun.name}: {single:.2f} ms alone, {batch:.2f} in a batch, {batch / single:.2f} x")


if __name__ == "__main__":
    main()
