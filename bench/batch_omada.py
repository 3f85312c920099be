"""A batch of 20 site creations of the Omada Open API against one, over one connection to a served demo.

`python -m bench.batch_omada`. The figure is the median time of a batch of 20 over that of one call, in turns.
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
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from mintmark.admin.demo import DEMO

PORT: Final = 18_090
ACTIONS: Final = 20
OMADA: Final = next(row for row in DEMO if row.tenant.tenant_id == "omada")
ID: Final = OMADA.tenant.identifier
SITE: Final = {"region": "Germany", "timeZone": "Europe/Berlin", "scenario": "Office"}


class Caller:
    """One connection with a token."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port)
        self._headers = {"content-type": "application/json"}
        self._names = map("site {}".format, itertools.count())
        assert OMADA.client.client_secret is not None
        body = {
            "omadacId": ID,
            "client_id": OMADA.client.client_id,
            "client_secret": OMADA.client.client_secret.reveal(),
        }
        token = self._send("/openapi/authorize/token?grant_type=client_credentials", body)["accessToken"]
        self._headers["authorization"] = f"AccessToken={token}"

    def _send(self, path: str, body: object) -> Any:
        self._connection.request("POST", path, json.dumps(body).encode(), self._headers)
        envelope = json.loads(self._connection.getresponse().read())
        if envelope["errorCode"] != 0:
            raise SystemExit(f"{path}: {envelope}")
        return envelope["result"]

    def single(self) -> None:
        self._send(f"/openapi/v1/{ID}/sites", {**SITE, "name": next(self._names)})

    def batch(self) -> None:
        path = f"/openapi/v1/{ID}/sites"
        bodies = [{**SITE, "name": next(self._names)} for _ in range(ACTIONS)]
        actions = [{"method": "POST", "path": path, "body": body} for body in bodies]
        result = self._send(f"/openapi/v1/{ID}/batch", {"actions": actions})
        if any(one["errorCode"] != 0 for one in result["response"]):
            raise SystemExit(f"an action failed: {result}")


def measure(caller: Caller, rounds: int) -> tuple[float, float]:
    """Return the median milliseconds of a single call and of a batch."""
    waits: dict[Any, list[float]] = {caller.single: [], caller.batch: []}
    for _ in range(rounds):
        for call, took in waits.items():
            began = time.perf_counter()
            call()
            took.append(1000 * (time.perf_counter() - began))
    single, batch = (statistics.median(took) for took in waits.values())
    return single, batch


def main() -> None:
    parser = argparse.ArgumentParser(description="A batch of 20 against a single call.")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--folder", help="where the database lies (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        command = [sys.executable, "-m", "mintmark.cli", "serve", "--demo", "--state-dir", str(Path(folder) / "var")]
        listen = ["--listen", f"http://127.0.0.1:{PORT}"]
        server = subprocess.Popen([*command, *listen], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            if not any("Ctrl-C" in line for line in server.stdout):
                raise SystemExit("the server did not start")
            caller = Caller(PORT)
            measure(caller, 10)
            single, batch = measure(caller, arguments.rounds)
            print(f"{single:.2f} ms alone, {batch:.2f} ms for a batch of {ACTIONS}, {batch / single:.2f} times")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
