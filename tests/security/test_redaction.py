"""No secret and no token in any log, error, repr or database file, whatever goes wrong. ASVS V16.2.5, V11.5.1."""

from __future__ import annotations

import base64
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from mintmark.admin.administration import Administration
from mintmark.authentication.master_key import SealingKey, read_master_key
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import ClientCredentials, TokenRequest, TokenResponse
from mintmark.protocol.secret import Secret
from mintmark.settings import load_settings
from mintmark.tokens.keys import KeyRing
from tests.endpoints.deployments import ODD_SECRET, Deployment
from tests.endpoints.servers import Answer, Request, Server
from tests.endpoints.systems import DEFAULT, OMADA, ONEACCESS, SYSTEMS, WSO2, ask, basic, form, omada

GRANT = {"grant_type": "client_credentials"}
WRONG = "a-wrong-secret-that-was-typed"
TOKEN_MEMBERS = {"access_token", "accessToken", "refreshToken", "id_token"}


class Traffic(NamedTuple):
    """All that was sent and answered, and what was left behind."""

    deployment: Deployment
    secrets: set[str]
    tokens: set[str]
    refusals: list[Answer]
    log: str
    database: bytes


def tokens_in(answer: Answer) -> set[str]:
    members: dict[str, Any] = answer.json
    return {value for name, value in (members | members.get("result", {})).items() if name in TOKEN_MEMBERS}


def right_requests(secrets: dict[str, str]) -> list[Request]:
    opaque = ask(DEFAULT, client_id="meter", client_secret=secrets["opaque/meter"])
    generated = ask(DEFAULT, client_id="generated", client_secret=secrets["default/generated"])
    return [*map(ask, SYSTEMS), *map(ask, SYSTEMS), opaque._replace(target="/t/opaque/oauth2/token"), generated]


def wrong_requests() -> list[Request]:
    host = {"host": WSO2.host, "content-type": "application/json"}
    broken = f'{{"grant_type":"client_credentials","client_secret":"{WRONG}"'.encode()
    return [
        *[ask(system, client_secret=WRONG) for system in SYSTEMS],
        *[ask(system, client_id=system.disabled) for system in SYSTEMS],
        *[ask(system, client_id=system.no_grant) for system in SYSTEMS],
        *[ask(system, grant_type="x") for system in SYSTEMS],
        ask(DEFAULT, scope="nobody"),
        form(GRANT, f"/oauth2/token?client_secret={WRONG}"),
        form(GRANT, f"/nothing?client_secret={WRONG}"),
        form(GRANT, authorization=basic("demo", WRONG) + "!"),
        form(GRANT, authorization=f"Bearer {WRONG}"),
        form([*GRANT.items(), ("client_secret", WRONG), ("client_secret", WRONG)]),
        form({**GRANT, "client_id": "demo", "client_secret": WRONG}, authorization=basic("demo", WRONG)),
        Request("POST", WSO2.path, host, broken),
        Request("GET", f"/oauth2/token?client_secret={WRONG}", {"authorization": basic("demo", WRONG)}),
        omada(broken),
        form({**GRANT, "client_secret": WRONG, "x": "y" * 70_000}),
    ]


def break_store(deployment: Deployment) -> None:
    """Take the tokens' tables away under the running server, and spoil the seal of every key."""
    with sqlite3.connect(deployment.state_dir / "mintmark.db") as connection:
        connection.execute("ALTER TABLE token RENAME TO token_away")
        connection.execute("ALTER TABLE reuse_slot RENAME TO reuse_slot_away")
        connection.execute("UPDATE signing_key SET sealed = x'0102030405060708090a0b0c0d0e0f101112131415'")
        connection.execute("UPDATE revision SET number = number + 1, of_issuers = number + 1")
    connection.close()


@pytest.fixture(scope="module")
def traffic(full_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    deployment = full_deployment.copy_to(tmp_path_factory.mktemp("traffic"))
    settings = {"log_level": "debug", "failures_per_client": "1000"}
    with Server(deployment.state_dir, settings=settings) as server:
        answers = [server.send(request) for request in right_requests(deployment.secrets)]
        assert {answer.status for answer in answers} == {200}
        refusals = [server.send(request) for request in wrong_requests()]
        garbage = server.send_octets(f"POST /oauth2/token HTTP/1.1\r\nx {WRONG}\r\n\r\n".encode())
        refusals.append(Answer(400, (), garbage))
        database = b"".join(path.read_bytes() for path in deployment.state_dir.glob("mintmark.db*"))
        break_store(deployment)
        time.sleep(1.2)
        faults = [server.send(request) for request in right_requests(deployment.secrets)]
        assert {answer.status for answer in faults} <= {500, 502, 503}
    secrets = {system.client_secret for system in SYSTEMS} | set(deployment.secrets.values()) | {WRONG, ODD_SECRET}
    tokens = set().union(*map(tokens_in, answers))
    yield Traffic(deployment, secrets, tokens, refusals + faults, server.log, database)


def spellings(text: str) -> set[bytes]:
    """A secret as it stands, and as it would stand in a header, a URL or a dump."""
    octets = text.encode()
    # In Base64 behind `id:` the text begins at any of three places; what lies inside is the same.
    inside = {base64.b64encode(b"x" * shift + octets)[4:-4] for shift in range(3)}
    return {octets, octets.hex().encode(), *inside}


def found_in(where: bytes, texts: set[str]) -> list[str]:
    return [text for text in texts if any(spelling in where for spelling in spellings(text))]


def test_no_secret_and_no_token_is_in_the_log(traffic: Traffic):
    assert "token_refused" in traffic.log
    assert found_in(traffic.log.encode(), traffic.secrets | traffic.tokens) == []


def test_no_part_of_a_token_is_in_the_log(traffic: Traffic):
    parts = {part for token in traffic.tokens for part in token.split(".") if len(part) > 24}

    assert found_in(traffic.log.encode(), parts) == []


def test_no_secret_and_no_token_is_in_a_refusal(traffic: Traffic):
    for answer in traffic.refusals:
        octets = answer.body + repr(answer.headers).encode()
        assert found_in(octets, traffic.secrets | traffic.tokens) == []


def test_no_secret_and_no_token_is_in_the_database(traffic: Traffic):
    assert found_in(traffic.database, traffic.secrets | traffic.tokens) == []


def test_no_private_key_and_no_master_key_is_in_the_database(traffic: Traffic, full_deployment: Deployment):
    master_key_text = (full_deployment.state_dir / "master.key").read_text().strip()
    keys = full_deployment.administer(read_private_keys)

    assert len(keys) > 8
    for octets in [*keys, base64.urlsafe_b64decode(master_key_text + "=")]:
        assert octets not in traffic.database
        assert base64.b64encode(octets)[:-4] not in traffic.database
        assert base64.urlsafe_b64encode(octets)[:-4] not in traffic.database
    assert master_key_text.encode() not in traffic.database
    assert b"PRIVATE KEY" not in traffic.database


async def read_private_keys(administration: Administration) -> list[bytes]:
    """What is secret of each key: a symmetric key, a private exponent, a private scalar or seed."""
    records = await administration.store.keys.list()
    opened = [
        (record.use, administration.sealing_key.open(record.sealed, f"key {record.tenant_id} {record.kid}".encode()))
        for record in records
    ]
    return [octets if use == "enc" else secret_of(load_der_private_key(octets, None)) for use, octets in opened]


def secret_of(key: object) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.private_numbers().d.to_bytes(256, "big")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.private_numbers().private_value.to_bytes(32, "big")
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return key.private_bytes_raw()


def test_every_refusal_and_fault_is_told_by_an_id_of_its_own_that_the_log_knows(traffic: Traffic):
    # What cannot be read as HTTP is refused before it is a request.
    ids = [answer.header("x-correlation-id") for answer in traffic.refusals if answer.headers]

    assert len(set(ids)) == len(ids) > 40
    for one in ids:
        assert str(one) in traffic.log


def test_a_fault_is_a_server_error_in_its_systems_words(traffic: Traffic):
    bodies = {answer.body for answer in traffic.refusals if answer.status >= 500}

    assert (
        b'{"errorCode":-1,"msg":"General error."}' in bodies
        or b'{"errorCode":-1,"msg":"Service unavailable."}' in bodies
    )
    for body in bodies:
        assert b"sqlite" not in body.lower()
        assert b"no such table" not in body
        assert b"Traceback" not in body


def test_a_faults_traceback_is_in_the_log_without_values(traffic: Traffic):
    assert "Traceback" in traffic.log
    assert "[parameters: " not in traffic.log


def test_nobody_but_the_owner_may_read_what_the_server_keeps(traffic: Traffic):
    for name in ("master.key", "mintmark.db", "localhost.key"):
        assert (traffic.deployment.state_dir / name).stat().st_mode & 0o077 == 0, name


# Whatever holds a secret does not show it.

SECRET = "s3cret-in-a-value"


@pytest.mark.parametrize(
    "value",
    [
        Secret(SECRET),
        ClientCredentials("client_secret_basic", "id", Secret(SECRET)),
        TokenRequest(
            "x", (ClientCredentials("client_secret_post", "id", Secret(SECRET)),), refresh_token=Secret(SECRET)
        ),
        TokenResponse(Secret(SECRET), "Bearer", 1, None, Secret(SECRET), Secret(SECRET)),
        HttpRequest("POST", "/x", SECRET.encode(), {b"authorization": SECRET.encode()}, SECRET.encode(), "::1"),
        HttpResponse(200, ((b"x", SECRET.encode()),), SECRET.encode()),
        load_settings(None, {"master_key": SECRET, "database_url": SECRET}, {}),
        SealingKey(SECRET.ljust(32).encode()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_holds_a_secret_does_not_show_it(value: object):
    assert SECRET not in f"{value!r} {value!s} {value} {[value]}"


def test_opened_keys_do_not_show_themselves(full_deployment: Deployment):
    async def open_all(administration: Administration) -> str:
        ring = KeyRing(administration.store.keys, administration.sealing_key, administration.clock)
        return repr([await ring.of(tenant) for tenant in ("default", "ciam", "oneaccess")])

    shown = full_deployment.administer(open_all)
    keys = full_deployment.administer(read_private_keys)

    assert "TenantKeys(" in shown
    for octets in keys:
        assert base64.urlsafe_b64encode(octets).rstrip(b"=").decode() not in shown
        assert repr(octets)[2:-1] not in shown


def test_the_command_line_never_shows_a_secret_again(full_deployment: Deployment):
    shown = [
        full_deployment.cli("client", "show", "generated", "--json"),
        full_deployment.cli("client", "show", "demo"),
        full_deployment.cli("client", "list", "--json"),
        full_deployment.cli("keys", "list", "--json"),
        full_deployment.cli("tenant", "list", "--json"),
    ]

    for text in shown:
        assert found_in(text.encode(), set(full_deployment.secrets.values()) | {DEFAULT.client_secret}) == []
        assert "argon2" not in text.replace('"kind": "argon2id"', "").replace("'kind': 'argon2id'", "")
        assert "sealed" not in text


def test_a_master_key_is_readable_where_it_was_made(full_deployment: Deployment):
    key = read_master_key(Path(full_deployment.state_dir / "master.key"))

    assert key.open(key.seal(b"x", b"y"), b"y") == b"x"


def test_both_tokens_of_omada_and_oneaccess_were_among_those_looked_for(traffic: Traffic):
    assert sum(token.startswith("RT-") for token in traffic.tokens) == 2
    assert {OMADA.client_secret, ONEACCESS.client_secret} <= traffic.secrets
