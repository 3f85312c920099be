"""Everything wired by hand, in one place: what one serving process is made of, and how it follows changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import structlog

from mintmark.admin.administration import Administration
from mintmark.authentication.authenticate import Authenticator
from mintmark.authentication.client_secret import SecretVerifier
from mintmark.authentication.clients import ClientDirectory
from mintmark.authentication.throttle import FailureThrottle
from mintmark.endpoints.authorization import AuthorizationEndpoint
from mintmark.endpoints.jwks import JwksEndpoint
from mintmark.endpoints.metadata import MetadataEndpoint
from mintmark.endpoints.route import Endpoint, ServedTenant
from mintmark.endpoints.token import TokenEndpoint
from mintmark.grants.rules import tenant_rules
from mintmark.http.asgi import AsgiApp
from mintmark.http.proxy import ProxyTrust, parse_networks
from mintmark.http.router import Router
from mintmark.protocol.errors import MintmarkError, SettingsError
from mintmark.settings import Settings
from mintmark.tokens.keys import KeyRing
from mintmark.tokens.ledger import TokenLedger

log = structlog.get_logger()


class Application:
    """One process's endpoints and what they stand on. Made by `build_application`."""

    def __init__(self, settings: Settings, administration: Administration) -> None:
        store, clock = administration.store, administration.clock
        self._settings = settings
        self._administration = administration
        self._verifier = SecretVerifier(administration.master_key)
        self._clients = ClientDirectory(store.clients, capacity=settings.client_cache_size)
        self._keys = KeyRing(store.keys, administration.master_key, clock)
        authenticator = Authenticator(
            self._clients,
            self._verifier,
            throttle=FailureThrottle(per_client=settings.failures_per_client, per_source=settings.failures_per_source),
            clock=clock,
        )
        ledger = TokenLedger(store.tokens, administration.master_key)
        self._endpoints: Mapping[str, Endpoint] = {
            "token": TokenEndpoint(authenticator, self._keys, ledger, clock=clock),
            "jwks": JwksEndpoint(self._keys),
            "metadata": MetadataEndpoint(),
            "authorization": AuthorizationEndpoint(),
        }
        self._router = Router(())
        self._apps: list[AsgiApp] = []
        self._revision = -1
        self._following: asyncio.Task[None] | None = None

    def asgi_app(self, *, needs_tls: bool) -> AsgiApp:
        """Make the ASGI application of one listener. `needs_tls`: it is plain and off loopback, behind a proxy."""
        trust = ProxyTrust(parse_networks(self._settings.trusted_proxies), needs_tls=needs_tls)
        app = AsgiApp(self._router, self._endpoints, trust)
        self._apps.append(app)
        return app

    async def refresh(self) -> None:
        """Take in what changed in the store since the last look. Raises: StoreError, SettingsError."""
        revision = await self._administration.store.deployment.revision()
        if revision == self._revision:
            return
        self._clients.forget()
        self._keys.forget()
        self._router = Router(await self._load_tenants())
        for app in self._apps:
            app.router = self._router
        self._revision = revision

    async def _load_tenants(self) -> list[ServedTenant]:
        administration = self._administration
        served = []
        for record in await administration.store.tenants.list():
            dialect = administration.dialects.get(record.dialect)
            if dialect is None:
                raise SettingsError(
                    f"tenant {record.tenant_id}: its dialect {record.dialect!r} is not there; see dialects_dir"
                )
            rules = tenant_rules(administration.rules[record.dialect], record.token_rules, record.tenant_id)
            served.append(ServedTenant(record, dialect, rules))
        return served

    def follow_changes(self) -> None:
        """Begin to look for changes of other processes, again and again."""
        self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_interval_s)
            try:
                await self.refresh()
            except MintmarkError as error:
                log.error("refresh_failed", error=str(error))

    async def close(self) -> None:
        """Let go of threads and database, what is in hand being finished first."""
        if self._following:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        self._verifier.close()
        await self._administration.store.close()


async def build_application(settings: Settings, administration: Administration) -> Application:
    """Wire a process's application over an open deployment. Raises: SettingsError, StoreError."""
    application = Application(settings, administration)
    await application.refresh()
    return application
