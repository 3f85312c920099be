"""Golden transcripts of the Open API: each call, and each code. golden/README.txt tells how to read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from mintmark.api.omada.envelope import CODES
from mintmark.api.omada.server import TABLE
from tests.life.world import Sent, drive
from tests.manage.omada.world import MSP_ID, OMADAC_ID, Omada

FOLDER = Path(__file__).parent / "golden"
TRANSCRIPTS = sorted(FOLDER.glob("*.http"))
MADE = {
    "24 hex": "[0-9a-f]{24}",
    "32 hex": "[0-9a-f]{32}",
    "millis": "[0-9]{13}",
    "customer": "[0-9a-f]{32}",
    "token": "[0-9A-Za-z]{32}",
}
PLACE = re.compile(r"<(?:(kept):)?([^<>]+)>")
TOKEN_LIFE_S = 7200
# What is off unless it is set, `test_call_rate` proves.
NOT_HERE = {"general_error", "unavailable", "action_failed", "operation_forbidden", "too_many_requests"}
"""Our own faults, shown in test_faults, and what no call answers by itself."""


class Exchange(NamedTuple):
    """A request as it is written, and the answer."""

    request: str
    response: str


def read_story(path: Path) -> list[Exchange]:
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("# ")]
    parts = re.split(r"^### (?:request|response)$", "\n".join(lines), flags=re.MULTILINE)
    assert len(parts) % 2 == 0, path
    return [Exchange(parts[at].strip(), parts[at + 1].strip()) for at in range(0, len(parts), 2)]


def split(text: str) -> tuple[str, dict[str, str], str]:
    head, _, body = text.partition("\n\n")
    start, *lines = head.splitlines()
    pairs = [line.partition(":") for line in lines]
    return start, {name.lower(): value.strip() for name, _, value in pairs}, body.strip()


class Teller:
    """Fills places, and compares answers."""

    def __init__(self, omada: Omada) -> None:
        self.omada = omada
        self.places: dict[str, str] = {"omadac": OMADAC_ID, "msp": MSP_ID, **omada.sites, **omada.customers}
        self.places |= {f"client of {name}": app.client_id for name, app in omada.apps.items()}

    async def fill(self, text: str) -> str:
        for name in dict.fromkeys(one[1] for one in PLACE.findall(text)):
            if name == "expired token":
                self.places[name] = await self.omada.token("owner")
                self.omada.world.clock.now += TOKEN_LIFE_S
            elif name.startswith("token of ") and name not in self.places:
                self.places[name] = await self.omada.token(name.removeprefix("token of "))
        return PLACE.sub(lambda found: self.places[found[2]], text)

    def keep(self, expected: str, got: str) -> None:
        """Compare a body, and keep what it names."""
        kept: list[str] = []
        pattern = ""
        end = 0
        for found in PLACE.finditer(expected):
            pattern += re.escape(expected[end : found.start()])
            end = found.end()
            if found[1]:
                name, _, form = found[2].partition("=")
                kept.append(name)
                pattern += f"({MADE[form]})"
            else:
                pattern += MADE[found[2]] if found[2] in MADE else re.escape(self.places[found[2]])
        matched = re.fullmatch(pattern + re.escape(expected[end:]), got)
        assert matched, f"\nexpected: {expected}\ngot:      {got}"
        self.places |= dict(zip(kept, matched.groups(), strict=True))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
async def test_a_transcript_is_what_happens(omada: Omada, path: Path) -> None:
    teller = Teller(omada)
    for exchange in read_story(path):
        start, headers, body = split(await teller.fill(exchange.request))
        method, target = start.split(" ", 1)
        answer = await drive(omada.world.app, Sent(method, target, headers, body.encode()), "192.0.2.7")
        status, expected_headers, expected = split(exchange.response)
        assert (f"HTTP {answer.status}", start) == (status, start), answer.body
        assert expected_headers.items() <= answer.headers.items()
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        teller.keep(expected, answer.body.decode())


def test_every_call_has_a_transcript() -> None:
    lines = [split(exchange.request)[0] for path in TRANSCRIPTS for exchange in read_story(path)]
    told = {re.sub(r"<[^<>]+>|(?<=roles/)\w+", "{}", line.partition("?")[0]) for line in lines}
    for row in TABLE.operations:
        prefix = "/openapi/v1/msp/{}" if row.family == "msp" else "/openapi/v1/{}"
        assert f"{row.method} {prefix}{re.sub(r'{[^}]+}', '{}', row.path)}" in told
    assert {"GET /api/info", "POST /openapi/v1/{}/batch", "POST /openapi/v1/msp/{}/batch"} <= told


def test_every_code_has_a_transcript() -> None:
    told = "".join(path.read_text("utf-8") for path in TRANSCRIPTS)
    for name, row in CODES.items():
        if name not in NOT_HERE:
            assert f'"errorCode":{row.number},"msg":"{row.msg}"' in told, name
