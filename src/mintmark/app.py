"""Everything wired by hand, in one place: what one serving process is made of, and how it follows changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

import structlog

from mintmark.admin.actor import Actor
from mintmark.admin.administration import Administration
from mintmark.admin.audit_upkeep import AuditBroken, purge_audit, purge_bodies, write_checkpoint
from mintmark.admin.client_secrets import count_expiring_secrets
from mintmark.admin.recording import Recording
from mintmark.admin.upkeep import KeySchedule, announce_expiring_secrets, purge_expired, tend_keys
from mintmark.api.callers import Callers
from mintmark.api.omada.callers import DIALECT as OMADA
from mintmark.api.omada.server import MOUNTED_AT as OPEN_API_MOUNTED_AT
from mintmark.api.omada.server import OpenApi
from mintmark.api.registration import RegistrationEndpoint
from mintmark.api.server import MOUNTED_AT, ManagementApi
from mintmark.api.table import TABLE
from mintmark.api.wso2_registration import Wso2Registration
from mintmark.authentication.authenticate import Authenticator
from mintmark.authentication.client_secret import SecretVerifier
from mintmark.authentication.clients import ClientDirectory
from mintmark.authentication.throttle import FailureThrottle
from mintmark.endpoints.parts import Parts
from mintmark.endpoints.route import Endpoint, ServedTenant
from mintmark.grants.rules import Rules, tenant_rules
from mintmark.http.asgi import AsgiApp, Mount
from mintmark.http.proxy import ProxyTrust, parse_networks
from mintmark.http.reception import Reception
from mintmark.http.router import Router
from mintmark.http.shedding import Shedding
from mintmark.metrics.board import Board
from mintmark.observation import Observation, Watched
from mintmark.protocol.errors import SettingsError, StoreError, StoreUnavailable
from mintmark.settings import Settings
from mintmark.store.records import ClientRecord, TenantRecord
from mintmark.tokens.keys import KeyRing
from mintmark.tokens.ledger import TokenLedger
from mintmark.tokens.verification import TokenVerifier

log = structlog.get_logger()


class Application:
    """One process's endpoints and what they stand on. Made by `build_application`."""

    def __init__(self, settings: Settings, administration: Administration, *, board: Board, number: int) -> None:
        store, clock = administration.store, administration.clock
        self._settings = settings
        self._administration = administration
        self._upkeep = administration.on_behalf_of(Actor.mintmark())
        self._recording = Recording(administration, audit_tokens=settings.audit_tokens)
        self._verifier = SecretVerifier(administration.keyed_hash)
        self._clients = ClientDirectory(store.clients, capacity=settings.client_cache_size)
        self._keys = KeyRing(store.keys, administration.sealing_key, clock)
        self.observation = Observation(
            settings,
            administration,
            self._show(),
            board=board,
            number=number,
            expiring_secrets=partial(count_expiring_secrets, within_s=settings.secret_expiry_notice_s),
        )
        authenticator = Authenticator(
            self._clients,
            self._verifier,
            throttle=FailureThrottle(per_client=settings.failures_per_client, per_source=settings.failures_per_source),
            audit=self._recording.buffer,
            last_used=self._recording.last_used,
            clock=clock,
        )
        verifier = TokenVerifier(store.tokens, self._keys, administration.keyed_hash, present=self, clock=clock)
        callers = Callers(administration, verifier, self._recording.buffer)
        self._endpoints = self._make_endpoints(authenticator, verifier, callers)
        self._mounts = self._make_mounts(verifier, callers)
        self._shedding = Shedding(settings.shed_after_s)
        self._tasks: list[asyncio.Task[None]] = []
        self._sign_of_change = store.deployment.sign_of_change
        self._know_nothing()

    def _know_nothing(self) -> None:
        self.router = Router(())
        self._served: Mapping[str, ServedTenant] = {}
        self._by_issuer: Mapping[str, str] = {}
        self._hosts: Collection[str] = ()
        self._controllers: Mapping[str | None, TenantRecord] = {}
        self._revision = self._of_issuers = -1
        self._sign = b""
        self.known_until = 0.0
        """Until when what is in memory may be used, on the clock of `time.monotonic`."""
        self._rests_until = 0.0
        self._away_since: float | None = None
        self._losses = self._losses_known = 0
        """How often the database was away: it may be another when it is back, and count from less."""
        # The sealed head, if any, behind which the audit log does not go on; None: it does.
        self._audit_break: str | None = None
        # A store behind a network is waited for: meanwhile others wait for the same look, and none goes on with what
        # was so before.
        self._one_look = asyncio.Lock()

    def _show(self) -> Watched:
        return Watched(
            self._clients,
            lambda: len(self._served),
            is_loaded=lambda: self._revision >= 0,
            is_known=lambda: time.monotonic() <= self.known_until,
            is_audit_broken=lambda: self._audit_break is not None,
        )

    def _make_endpoints(
        self, authenticator: Authenticator, verifier: TokenVerifier, callers: Callers
    ) -> Mapping[str, Endpoint]:
        administration, audit = self._administration, self._recording.buffer
        parts = Parts(
            authenticator=authenticator,
            verifier=verifier,
            ledger=TokenLedger(administration.store.tokens, administration.sealing_key, audit),
            keys=self._keys,
            outcomes=self.observation.outcomes,
            keyed_hash=administration.keyed_hash,
            clock=administration.clock,
        )
        wso2 = Wso2Registration(administration, callers, authenticator)
        registration = RegistrationEndpoint(administration, {"wso2": wso2}, audit)
        return {**self.observation.make_endpoints(parts), "registration": registration}

    def _make_mounts(self, verifier: TokenVerifier, callers: Callers) -> Sequence[Mount]:
        administration, seen = self._administration, self.observation
        api = ManagementApi(TABLE, callers, administration, present=self, take_note=seen.make_note_taker("rest"))
        open_api = OpenApi(
            administration,
            verifier,
            self,
            audit=self._recording.buffer,
            take_note=seen.make_note_taker("omada"),
            calls_per_second=self._settings.open_api_calls_per_s,
        )
        return [*((path, api) for path in MOUNTED_AT), *((path, open_api) for path in OPEN_API_MOUNTED_AT)]

    def asgi_app(self, *, needs_tls: bool) -> AsgiApp:
        """Make the reception of one listener, as an ASGI application."""
        return AsgiApp(self.reception(needs_tls=needs_tls).answer)

    def reception(self, *, needs_tls: bool) -> Reception:
        """Make the reception of one listener. `needs_tls`: it is plain and off loopback, behind a proxy."""
        trust = ProxyTrust(parse_networks(self._settings.trusted_proxies), needs_tls=needs_tls)
        seen = self.observation
        return Reception(
            self,
            self._endpoints,
            trust=trust,
            outcomes=seen.outcomes,
            observe=seen.observe_request,
            probes=seen.probes,
            shedding=self._shedding,
            mounts=self._mounts,
        )

    async def begin(self) -> None:
        """Take in what there is at the start. Raises: StoreError, SettingsError."""
        now = time.monotonic()
        await self.refresh()
        self.known_until = now + self._settings.cache_max_age_s

    def has_news(self, now: float) -> bool:
        """Tell whether there is something to take in, as far as this shows without a read.

        Args:
            now: the moment, on the clock of `time.monotonic`.
        """
        return now > self.known_until or (self._sign_of_change() != self._sign and now >= self._rests_until)

    async def catch_up(self, now: float) -> None:
        """Take in what a sign told of, or what may have changed unseen, unless another has done so meanwhile."""
        if self._away_since is not None and (self._one_look.locked() or now < self._rests_until):
            return
        async with self._one_look:
            if self.has_news(now):
                await self._look()

    async def _look(self) -> None:
        """Take in what changed; where that fails, go on with what was so before, for as long as that is allowed."""
        began = time.monotonic()
        try:
            await self._take_in(self._administration.store.deployment.look)
            self.known_until = began + self._settings.cache_max_age_s
            self._note_back(began)
        except Exception as error:
            self._losses += 1
            if self._away_since is None:
                self._away_since = began
                log.error("refresh_failed", error=repr(error))
            if time.monotonic() > self.known_until:
                # Nor does a request that began before then, and whose body was slow, use what is known no longer.
                self.known_until = 0.0
        # Where changes come in a flood, at most half of the time goes into taking them in.
        self._rests_until = 2 * time.monotonic() - began

    def _note_back(self, now: float) -> None:
        if self._away_since is not None:
            log.info("refresh_resumed", after_s=round(now - self._away_since, 1))
            self._away_since = None

    async def refresh(self) -> None:
        """Take in what changed in the store since the last look. Raises: StoreError, SettingsError."""
        await self._take_in(self._administration.store.deployment.revisions)

    async def _take_in(self, read: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        sign, losses = self._sign_of_change(), self._losses
        try:
            revision, of_issuers = await read()
            is_another = losses != self._losses_known
            if revision != self._revision or is_another:
                await self._forget_changed(are_all=is_another)
                if of_issuers != self._of_issuers or is_another:
                    await self._load_issuers()
                self._revision, self._of_issuers, self._losses_known = revision, of_issuers, losses
        finally:
            # At the end, for whoever comes meanwhile is to wait; also where it failed, for a store that is away is not
            # to be asked again by every request.
            self._sign = sign

    async def _forget_changed(self, *, are_all: bool) -> None:
        """Forget the clients that changed since the last look: all, where that cannot be learnt."""
        changed = None
        try:
            if not are_all:
                changed = await self._administration.store.deployment.changed_clients(self._revision)
        except StoreError as error:
            # Maybe the one word that the database was away: all is taken in anew.
            self._losses += 1
            log.warning("changed_clients_not_read", error=str(error))
        finally:
            self._clients.forget(changed)

    async def _load_issuers(self) -> None:
        self._keys.forget()
        served = await self._load_tenants()
        self._served = {tenant.record.tenant_id: tenant for tenant in served}
        self._by_issuer = {tenant.record.issuer: tenant.record.tenant_id for tenant in served}
        records = [tenant.record for tenant in served]
        self._hosts = frozenset(host for one in records for host in (*one.hosts, urlsplit(one.issuer).netloc.lower()))
        self._controllers = {one.identifier: one for one in records if one.dialect == OMADA and not one.is_suspended}
        self.router = Router(served)

    def find_tenant(self, tenant_id: str) -> tuple[TenantRecord, Rules] | None:
        """Return a tenant that is there and not suspended, with its rules."""
        served = self._served.get(tenant_id)
        return None if served is None or served.record.is_suspended else (served.record, served.rules)

    def find_issuer(self, issuer: str) -> str | None:
        """Return the id of the tenant with this issuer identifier, or None."""
        return self._by_issuer.get(issuer)

    def knows_host(self, host: str) -> bool:
        """Tell whether a Host header, lower case, names a tenant's host, with a port or without, or an issuer's."""
        return host in self._hosts or host.rpartition(":")[0] in self._hosts

    def find_identifier(self, identifier: str) -> TenantRecord | None:
        """Return the Omada controller, msp or customer of this id, if it is there and not suspended."""
        return self._controllers.get(identifier)

    def list_controllers(self) -> Iterable[TenantRecord]:
        """Return all that `find_identifier` finds."""
        return self._controllers.values()

    async def find_client(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return a client, or None."""
        return await self._clients.find(tenant_id, client_id)

    async def _load_tenants(self) -> list[ServedTenant]:
        """Load every tenant that can be served; one that cannot harms no other."""
        served = []
        for record in await self._administration.store.tenants.list():
            try:
                served.append(serve_tenant(self._administration, record))
            except SettingsError as error:
                log.error("tenant_not_served", tenant_id=record.tenant_id, error=str(error))
        return served

    def follow_changes(self) -> None:
        """Begin to look for changes of other processes, and for what has to be done for all."""
        works = (
            self._follow(),
            self._tend(),
            self._recording.run(),
            self.observation.pulse.run(),
            self._shedding.watch(),
        )
        self._tasks = [asyncio.create_task(work) for work in works]

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_interval_s)
            async with self._one_look:
                await self._look()

    async def _tend(self) -> None:
        """Do what one process does for all, while this is the one."""
        await self._lead(self._tend_log)
        while True:
            await asyncio.sleep(self._settings.upkeep_interval_s)
            for work in (self._tend_log, self._purge, self._tend_keys, self._tend_secrets, self._tend_audit):
                await self._lead(work)

    async def _lead(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            if await self._administration.store.leadership.try_acquire():
                await work()
        except Exception as error:
            has_been_told = self._away_since is not None and isinstance(error, StoreUnavailable)
            if not has_been_told:
                log.error("upkeep_failed", work=work.__name__.strip("_"), error=repr(error))

    async def _tend_log(self) -> None:
        await self._administration.store.upkeep.tend_log()

    async def _purge(self) -> None:
        self.observation.count_purged(await purge_expired(self._upkeep))

    async def _tend_keys(self) -> None:
        await tend_keys(self._upkeep, KeySchedule(self._settings.key_lifetime_s, self._settings.key_announce_s))

    async def _tend_secrets(self) -> None:
        await announce_expiring_secrets(self._upkeep, self._settings.secret_expiry_notice_s)

    async def _tend_audit(self) -> None:
        await self._sign_audit(self._settings.audit_checkpoint_interval_s)
        await purge_bodies(self._upkeep, self._settings.audit_event_retention_s)
        await purge_audit(self._upkeep, self._settings.audit_retention_s)

    async def _sign_audit(self, interval_s: int) -> None:
        """Sign the audit log; tell of a break once, and show it as long as it is there."""
        try:
            await write_checkpoint(self._upkeep, interval_s)
            self._audit_break = None
        except AuditBroken as broken:
            if self._audit_break != broken.sealed:
                log.error("audit_broken", sealed=broken.sealed, head=broken.head)
            self._audit_break = broken.sealed

    async def _sign_the_end(self) -> None:
        """Sign the audit log as the leader leaves it."""
        with contextlib.suppress(StoreError):
            if await self._administration.store.leadership.try_acquire():
                await self._sign_audit(0)

    async def close(self) -> None:
        """Let go of threads and database, what is in hand being finished first."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._verifier.close()
        await self._recording.finish()
        await self._sign_the_end()
        await self._administration.store.close()
        await self.observation.close()


def serve_tenant(administration: Administration, record: TenantRecord) -> ServedTenant:
    """Bring a tenant together with its dialect and rules. Raises: SettingsError."""
    dialect = administration.dialects.get(record.dialect)
    if dialect is None:
        raise SettingsError(f"tenant {record.tenant_id}: its dialect {record.dialect!r} is not there; see dialects_dir")
    return ServedTenant(
        record, dialect, tenant_rules(administration.rules[record.dialect], record.token_rules, record.tenant_id)
    )


async def check_tenants(administration: Administration) -> None:
    """Make sure that every tenant can be served, before a start says so. Raises: SettingsError, StoreError."""
    for record in await administration.store.tenants.list():
        serve_tenant(administration, record)


async def build_application(
    settings: Settings, administration: Administration, *, board: Board | None = None, number: int = 0
) -> Application:
    """Wire a process's application over an open deployment.

    Args:
        board: where all workers of the server show their figures; None: this process is the only one.
        number: which of the workers this is.

    Raises:
        SettingsError, StoreError.
    """
    application = Application(settings, administration, board=board or Board(1), number=number)
    await application.begin()
    return application
