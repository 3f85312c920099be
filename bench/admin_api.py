"""Sets up a peer that is configured by its own HTTP API: wait until it listens, and send it JSON."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from bench.broken import BrokenRowError
from bench.load import STARTING_S
from bench.processes import last_lines


def wait_until_listening(url: str, children: Sequence[subprocess.Popen[bytes]], log: Path) -> None:
    """Return when a server answers anything at all. Raises: BrokenRowError, with the server's last words."""
    deadline = time.monotonic() + STARTING_S
    while time.monotonic() < deadline and all(child.poll() is None for child in children):
        try:
            urlopen(url).close()
        except HTTPError:
            return
        except URLError:
            time.sleep(0.1)
        else:
            return
    raise BrokenRowError(f"the server did not start: {last_lines(log.read_text(errors='replace'))}")


def post(url: str, body: object, headers: Mapping[str, str] | None = None) -> Message:
    """Send JSON and return the headers of the answer. Raises: BrokenRowError for one that tells of a failure."""
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})
    try:
        with urlopen(request) as answer:
            return answer.headers  # type: ignore[no-any-return]
    except HTTPError as error:
        raise BrokenRowError(f"{url} answered {error.code}: {error.read(300)!r}") from error
