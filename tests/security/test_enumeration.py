"""Who asks must not learn whether a client exists: the same answer, and the same work. RFC 6749 section 10.10."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import argon2
import pytest

from mintmark.admin.administration import AdministrationError
from mintmark.admin.clients import ClientRequest, disable_client, register_client, require_client
from mintmark.authentication import client_secret
from mintmark.authentication.authenticate import Authenticator
from mintmark.authentication.client_secret import MAX_WAITING, THREADS, SecretVerifier
from mintmark.authentication.clients import ClientDirectory
from mintmark.authentication.keyed_hash import KeyedHash
from mintmark.authentication.last_used import LastUsed
from mintmark.authentication.secrets import generate_secret
from mintmark.authentication.throttle import FailureThrottle
from mintmark.protocol.errors import InvalidClient, TemporarilyUnavailable
from mintmark.protocol.messages import ClientCredentials
from mintmark.protocol.secret import Secret
from mintmark.store.events import AuditBuffer
from mintmark.store.interface import ClientStore
from mintmark.store.records import ClientRecord, SecretRecord
from tests.endpoints.deployments import Deployment
from tests.endpoints.in_process import InProcess
from tests.endpoints.servers import Answer, Request, Server
from tests.endpoints.systems import SYSTEMS, System, ask, basic, form

KEY = b"k" * 32
CHOSEN = "a chosen secret"
BY_NAME = [system.tenant for system in SYSTEMS]
EACH_ITS_OWN = {"date", "x-correlation-id"}


def without_what_is_its_own(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    return answer.status, [pair for pair in answer.headers if pair[0] not in EACH_ITS_OWN], answer.body


def refused_requests(system: System) -> list[Request]:
    return [
        ask(system, client_id=system.nobody),
        ask(system, client_secret="wrong"),
        ask(system, client_secret="0" * 32),
        ask(system, client_secret=generate_secret().reveal()),
        ask(system, client_id=system.disabled),
        ask(system, client_id=system.disabled, client_secret="wrong"),
        ask(system, client_id=system.nobody + "\u00e9"),
        ask(system, client_id="x" * 300),
    ]


@pytest.mark.rfc("6749", "10.10")
@pytest.mark.parametrize("system", SYSTEMS, ids=BY_NAME)
def test_unknown_wrong_and_disabled_are_answered_with_the_same_octets(server: Server, system: System):
    answers = [without_what_is_its_own(server.send(request)) for request in refused_requests(system)]

    assert all(answer == answers[0] for answer in answers)


@pytest.mark.rfc("6749", "10.10")
@pytest.mark.parametrize("system", [one for one in SYSTEMS if one.dialect != "omada"], ids=lambda one: one.tenant)
def test_the_same_holds_for_the_basic_header(server: Server, system: System):
    pairs = [(system.nobody, "x"), (system.client_id, "wrong"), (system.disabled, system.client_secret)]
    grant = {"grant_type": "client_credentials"}

    answers = [
        without_what_is_its_own(server.send(form(grant, system.path, host=system.host, authorization=basic(*pair))))
        for pair in pairs
    ]

    assert all(answer == answers[0] for answer in answers)


# The work.


class CountingHasher(argon2.PasswordHasher):
    """argon2id, counting."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.counts = counts

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.counts["slow"] += 1
        return super().hash(password, salt=salt)


class CountingKeyedHash(KeyedHash):
    """HMAC, counting."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__(KEY)
        self.counts = counts

    def hash_secret(self, octets: bytes) -> str:
        self.counts["fast"] += 1
        return super().hash_secret(octets)


class CountingClients:
    """A store's clients, counting how often one is looked for."""

    def __init__(self, clients: ClientStore, counts: Counter[str]) -> None:
        self._clients = clients
        self._counts = counts

    async def find(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        self._counts["looks"] += 1
        return await self._clients.find(tenant_id, client_id)


class Workshop(NamedTuple):
    """An authenticator over a store, and the counts of its work."""

    application: InProcess
    counts: Counter[str]

    async def work_of(self, client_id: str, secret: str, raw: str | None = None) -> dict[str, int]:
        """The hashes computed for one attempt, refused, by an authenticator that remembers nothing yet."""
        administration = self.application.administration
        verifier = SecretVerifier(CountingKeyedHash(self.counts))
        authenticator = Authenticator(
            ClientDirectory(administration.store.clients, capacity=10),
            verifier,
            throttle=FailureThrottle(per_client=100, per_source=100),
            audit=AuditBuffer(),
            last_used=LastUsed(),
            clock=self.application.clock,
        )
        tenant = await administration.require_tenant("main")
        second = ClientCredentials("client_secret_basic", client_id, Secret(raw)) if raw else None
        seen = ClientCredentials("client_secret_basic", client_id, Secret(secret), second)
        self.counts.clear()
        with pytest.raises(InvalidClient):
            await authenticator.authenticate_client((seen,), tenant, source="192.0.2.7", secret_form="mintmark")
        verifier.close()
        return dict(self.counts)

    async def looks_of(self, client_id: str, attempts: int) -> int:
        """The looks into the store for so many attempts, refused, by one authenticator."""
        administration = self.application.administration
        verifier = SecretVerifier(KeyedHash(KEY))
        clients = CountingClients(administration.store.clients, self.counts)
        authenticator = Authenticator(
            ClientDirectory(clients, capacity=10),  # type: ignore[arg-type]
            verifier,
            throttle=FailureThrottle(per_client=100, per_source=100),
            audit=AuditBuffer(),
            last_used=LastUsed(),
            clock=self.application.clock,
        )
        tenant = await administration.require_tenant("main")
        seen = ClientCredentials("client_secret_post", client_id, generate_secret())
        self.counts.clear()
        for _ in range(attempts):
            with pytest.raises(InvalidClient):
                await authenticator.authenticate_client((seen,), tenant, source="192.0.2.7", secret_form="mintmark")
        verifier.close()
        return self.counts["looks"]


@pytest.fixture
async def workshop(application: InProcess, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    counts: Counter[str] = Counter()
    monkeypatch.setattr(client_secret, "HASHER", CountingHasher(counts))
    await application.add_tenant("main")
    await application.add_client("main", "generated", generate_secret().reveal())
    await application.add_client("main", "disabled", CHOSEN)
    await disable_client(application.administration, "main", "disabled", disabled=True)
    return Workshop(application, counts)


ATTEMPTS = [("nobody", CHOSEN), ("meter", "wrong"), ("generated", "wrong"), ("disabled", CHOSEN), ("disabled", "wrong")]


@pytest.mark.rfc("6749", "10.10")
async def test_the_same_work_is_done_for_every_refused_chosen_secret(workshop: Workshop):
    work = [await workshop.work_of(*attempt) for attempt in ATTEMPTS]

    assert work == [{"fast": 1, "slow": 1}] * len(ATTEMPTS)


async def test_the_same_work_is_done_for_every_refused_secret_of_generated_form(workshop: Workshop):
    secret = generate_secret().reveal()

    work = [await workshop.work_of(client_id, secret) for client_id, _ in ATTEMPTS]

    assert work == [{"fast": 1}] * len(ATTEMPTS)


async def test_the_same_work_is_done_for_every_secret_with_two_readings(workshop: Workshop):
    work = [await workshop.work_of(client_id, "a b", raw="a%20b") for client_id, _ in ATTEMPTS]

    assert work == [{"fast": 2, "slow": 2}] * len(ATTEMPTS)


async def test_a_refused_attempt_costs_one_look_into_the_store_whether_its_client_is_there_and_known_or_not(
    workshop: Workshop,
):
    assert [await workshop.looks_of(client_id, attempts=3) for client_id, _ in ATTEMPTS] == [3] * len(ATTEMPTS)


# The slow hash is bounded.


class GatedHasher(argon2.PasswordHasher):
    """argon2id that waits to be let through, and counts who waits in it at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.gate = threading.Event()
        self.inside = 0
        self.most_inside = 0
        self.lock = threading.Lock()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self.lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.gate.wait(20)
        with self.lock:
            self.inside -= 1
        return super().hash(password, salt=salt)


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> Iterator[GatedHasher]:
    hasher = GatedHasher()
    monkeypatch.setattr(client_secret, "HASHER", hasher)
    yield hasher
    hasher.gate.set()


async def test_slow_hashes_run_few_at_once_and_wait_in_a_bounded_queue(gated: GatedHasher):
    verifier = SecretVerifier(KeyedHash(KEY))
    tasks = [
        asyncio.create_task(verifier.verify((Secret(f"guess {number}"),), (), "mintmark"))
        for number in range(MAX_WAITING + 10)
    ]
    while sum(task.done() for task in tasks) < 10 or gated.inside < THREADS:  # noqa: ASYNC110 # threads set no event
        await asyncio.sleep(0.01)
    gated.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    verifier.close()

    assert gated.most_inside == THREADS
    assert sum(isinstance(outcome, TemporarilyUnavailable) for outcome in outcomes) == 10
    assert outcomes.count(None) == MAX_WAITING


async def test_a_right_chosen_secret_costs_its_slow_hash_once(workshop: Workshop):
    verifier = SecretVerifier(CountingKeyedHash(workshop.counts))
    row = client_secret.hash_chosen_secret(Secret(CHOSEN))
    stored = (SecretRecord(secret_id="1", tenant_id="main", client_id="meter", kind="argon2id", hash=row),)
    workshop.counts.clear()
    verdicts = [await verifier.verify((Secret(CHOSEN),), stored, "mintmark") for _ in range(3)]
    verifier.close()

    assert verdicts == [*stored, *stored, *stored]
    assert workshop.counts == {"fast": 3, "slow": 1}


# What is kept of a secret.


def test_a_generated_secret_is_kept_as_a_keyed_hash_and_a_chosen_one_as_a_slow_hash(full_deployment: Deployment):
    kinds = {}
    for client_id in ("generated", "demo"):
        find = partial(require_client, tenant_id="default", client_id=client_id)
        kinds[client_id] = [(row.kind, row.hash[:31]) for row in full_deployment.administer(find).secrets]

    assert kinds["generated"][0][0] == "hmac-sha256"
    assert kinds["demo"] == [("argon2id", "$argon2id$v=19$m=19456,t=2,p=1$")]


def test_what_the_store_keeps_of_a_secret_is_not_accepted_as_the_secret(server: Server, deployment: Deployment):
    for system, client_id in ((SYSTEMS[0], "demo"), (SYSTEMS[0], "generated"), (SYSTEMS[-1], SYSTEMS[-1].client_id)):
        find = partial(require_client, tenant_id=system.tenant, client_id=client_id)
        client = deployment.administer(find)
        for row in client.secrets:
            for text in (row.hash, row.hash.upper(), row.hash[:32], row.secret_id):
                answer = server.send(ask(system, client_id=client_id, client_secret=text))
                assert b"ccess" not in answer.body


def test_a_text_of_our_own_source_is_nobodys_secret(server: Server):
    """The work for clients that do not exist was once done on a constant, and that constant opened every client."""
    for client_id in ("generated", "no-scope", "demo", "nobody"):
        text = "nobody's secret, for clients that do not exist"
        assert server.send(ask(SYSTEMS[0], client_id=client_id, client_secret=text)).status == 401


@pytest.mark.rfc("6749", "4.4")
async def test_a_client_without_a_secret_cannot_be_registered(application: InProcess):
    await application.add_tenant("main")
    request = ClientRequest(tenant_id="main", authentication_methods=("none",))

    with pytest.raises(AdministrationError, match="authentication_methods: 'none' is unknown"):
        await register_client(application.administration, request)
