"""A batch of the management API against single calls of the same kind, over one connection to a served demo.

`python -m bench.batch`. The figure is the median time of a batch of 20 over that of one call, rounds taken in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

PORT: Final = 18_089
ACTIONS: Final = 20
CLIENTS: Final = "/api/v1/tenants/default/clients"
KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "create a client": {"method": "POST", "path": CLIENTS, "body": {"client_name": "bench", "scope": ["read"]}},
    "change a client": {"method": "PATCH", "path": CLIENTS + "/demo", "body": {"client_name": "bench"}},
    "get a client": {"method": "GET", "path": CLIENTS + "/demo"},
}
SECRET: Final = "admin-secret-not-for-production"


class Caller:
    """One connection with a management token."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port)
        form = urlencode({"grant_type": "client_credentials", "client_id": "admin", "client_secret": SECRET})
        self._headers = {"content-type": "application/x-www-form-urlencoded"}
        token = self._send("POST", "/t/admin/oauth2/token", form.encode())["access_token"]
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}

    def _send(self, method: str, path: str, body: bytes | None) -> Any:
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        octets = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {octets!r}")
        return json.loads(octets)

    def single(self, action: Mapping[str, Any]) -> None:
        body = action.get("body")
        self._send(action["method"], action["path"], None if body is None else json.dumps(body).encode())

    def batch(self, action: Mapping[str, Any]) -> None:
        answer = self._send("POST", "/api/v1/batch", json.dumps({"actions": [action] * ACTIONS}).encode())
        if not all(result["status"] < 300 for result in answer["results"]):
            raise SystemExit(f"an action failed: {answer}")


def measure(caller: Caller, action: Mapping[str, Any], rounds: int) -> tuple[float, float]:
    """Return the median milliseconds of a single call and of a batch."""
    waits: dict[Any, list[float]] = {caller.single: [], caller.batch: []}
    for _ in range(rounds):
        for call, took in waits.items():
            began = time.perf_counter()
            call(action)
            took.append(1000 * (time.perf_counter() - began))
    single, batch = (statistics.median(took) for took in waits.values())
    return single, batch


def main() -> None:
    parser = argparse.ArgumentParser(description="A batch of 20 against a single call.")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--folder", help="where the database lies (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        command = [Path(sys.executable).with_name("mintmark"), "serve", "--demo", "--state-dir", Path(folder) / "var"]
        listen = ["--listen", f"http://127.0.0.1:{PORT}"]
        server = subprocess.Popen([*command, *listen], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            if not any("Ctrl-C" in line for line in server.stdout):
                raise SystemExit("the server did not start")
            caller = Caller(PORT)
            for name, action in KINDS.items():
                measure(caller, action, 10)
                single, batch = measure(caller, action, arguments.rounds)
                figure = f"{batch:.2f} ms for a batch of {ACTIONS}, {batch / single:.2f} times"
                print(f"{name}: {single:.2f} ms alone, {figure}")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
