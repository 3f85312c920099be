"""Who calls, and what it reaches: from the token, shown as this system shows it, to an application as an actor."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from mintmark.admin.actor import Actor
from mintmark.admin.administration import Administration
from mintmark.admin.applications import act_as_application
from mintmark.api.omada.envelope import Refusal
from mintmark.api.omada.operation import Address
from mintmark.authentication.throttle import caller_of
from mintmark.grants.rules import Rules
from mintmark.protocol.secret import Secret
from mintmark.store.events import AuditBuffer
from mintmark.store.records import ClientRecord, TenantRecord
from mintmark.tokens.verification import LiveToken, TokenVerifier

DIALECT: Final = "omada"


class Present(Protocol):
    """Tenants and clients as they are now."""

    def find_tenant(self, tenant_id: str) -> tuple[TenantRecord, Rules] | None:
        """Return a tenant that is there and not suspended, with its rules."""

    def find_identifier(self, identifier: str) -> TenantRecord | None:
        """Return the tenant that is there, not suspended, and named so in messages."""

    async def find_client(self, tenant_id: str, client_id: str) -> ClientRecord | None:
        """Return a client, or None."""


class Caller(NamedTuple):
    """Who calls, and by which token."""

    actor: Actor
    live: LiveToken
    client: ClientRecord
    tenant: TenantRecord


class Callers:
    """Tells callers by their tokens."""

    def __init__(
        self, administration: Administration, verifier: TokenVerifier, present: Present, audit: AuditBuffer
    ) -> None:
        self._administration = administration
        self._audit = audit
        self._dialect = administration.dialects[DIALECT]
        self._verifier = verifier
        self._present = present

    async def admit(self, authorization: bytes | None, *, source: str, correlation_id: str) -> Caller:
        """Return the application whose token is shown, as the actor that it is at this moment.

        Raises:
            Refusal: `no_token`, `expired_token`, `invalid_token`.
        """
        token = self._dialect.decode_presented_token(authorization)
        if token is None:
            raise Refusal("no_token")
        live = await self._verifier.find_live_anywhere(token)
        if live is None or live.kind != "access":
            refusal = await self._refuse(token)
            self._audit.refused((self._administration.now(), None, "", refusal.name, caller_of(source)))
            raise refusal
        found = self._present.find_tenant(live.tenant_id)
        client = await self._present.find_client(live.tenant_id, live.client_id)
        if found is None or client is None or found[0].dialect != DIALECT:
            raise Refusal("invalid_token")
        actor = await act_as_application(
            live,
            client,
            tenant=found[0],
            store=self._administration.store,
            source=source,
            correlation_id=correlation_id,
        )
        return Caller(actor, live, client, found[0])

    async def _refuse(self, token: Secret) -> Refusal:
        return Refusal("expired_token" if await self._verifier.is_expired(None, token) else "invalid_token")

    def require_tenant(self, actor: Actor, address: Address) -> TenantRecord:
        """Return the controller, customer or msp of a path.

        What is beyond the caller's reach is not there, and neither is one of the other family.

        Raises: Refusal (`unknown_controller`).
        """
        tenant = self._find_tenant(actor, address)
        if tenant is None:
            raise Refusal("unknown_controller")
        return tenant

    def finds_tenant(self, actor: Actor, address: Address) -> bool:
        """Tell whether `require_tenant` finds one."""
        return self._find_tenant(actor, address) is not None

    def _find_tenant(self, actor: Actor, address: Address) -> TenantRecord | None:
        tenant = self._present.find_identifier(address.identifier)
        if tenant is None or not actor.reaches(tenant.tenant_id) or tenant.is_msp != (address.family == "msp"):
            return None
        return tenant
