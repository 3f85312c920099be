"""Step 2 of the straight line: from the credentials that a request carried to a client that is proven."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from mintmark.authentication.client_secret import SecretVerifier
from mintmark.authentication.clients import ClientDirectory
from mintmark.authentication.last_used import LastUsed
from mintmark.authentication.secrets import SecretForm
from mintmark.authentication.throttle import FailureThrottle, caller_of
from mintmark.protocol.errors import InvalidClient, InvalidRequest, TemporarilyUnavailable
from mintmark.protocol.messages import ClientCredentials
from mintmark.protocol.secret import Secret
from mintmark.store.events import AuditBuffer
from mintmark.store.records import ClientRecord, SecretRecord, TenantRecord


class AuthenticatedClient(msgspec.Struct, frozen=True, gc=False):
    """Proof of client authentication. Built by `Authenticator.authenticate_client` alone."""

    tenant: TenantRecord
    client: ClientRecord
    method: str


class Authenticator:
    """Client authentication at every endpoint that asks for it."""

    def __init__(
        self,
        clients: ClientDirectory,
        verifier: SecretVerifier,
        *,
        throttle: FailureThrottle,
        audit: AuditBuffer,
        last_used: LastUsed,
        clock: Callable[[], float],
    ) -> None:
        self._clients = clients
        self._verifier = verifier
        self._throttle = throttle
        self._audit = audit
        self._last_used = last_used
        self._clock = clock

    async def authenticate_client(
        self,
        seen: tuple[ClientCredentials, ...],
        tenant: TenantRecord,
        *,
        source: str,
        secret_form: SecretForm,
        expiry_skew_s: int = 0,
    ) -> AuthenticatedClient:
        """Prove who is asking, from all the credentials that a request carried.

        Args:
            expiry_skew_s: seconds for which an expired secret still authenticates.

        Raises:
            InvalidRequest: `two_credentials`.
            InvalidClient: no credentials, unknown or disabled client, wrong secret (alike to the caller, by answer
                and by work), or a method that the client is not registered for.
            TemporarilyUnavailable: `too_many_attempts`, or too many slow checks at once.
        RFC: 6749 sections 2.3, 3.2.1.
        """
        credentials = select_credentials(seen)
        now = int(self._clock())
        self._check_throttle(source, tenant.tenant_id, credentials.client_id, now)
        asked = self._clients.misses
        client = await self._clients.find(tenant.tenant_id, credentials.client_id)
        if client is None and credentials.raw is not None:
            client = await self._find_as_sent(tenant.tenant_id, credentials, credentials.raw)
        # Nothing else runs between the two looks unless the store was asked.
        was_kept = asked == self._clients.misses
        stored = live_secrets(client, now - expiry_skew_s)
        right = await self._verifier.verify(_readings(credentials), stored, secret_form)
        if client is None or right is None or client.is_disabled:
            self._throttle.record_failure(source, tenant.tenant_id, credentials.client_id, now)
            if was_kept and client is not None:
                # An unknown client costs a look into the store each time; so must one that is known.
                await self._clients.read(tenant.tenant_id, credentials.client_id)
            reason = _refusal(client, is_right=right is not None)
            who = client.client_id if client else ""
            self._audit.refused((now, tenant.tenant_id, who, reason, caller_of(source)))
            raise InvalidClient(reason, _describe(client))
        if credentials.method not in client.authentication_methods:
            who = client.client_id
            self._audit.refused((now, tenant.tenant_id, who, "method_not_registered", caller_of(source)))
            raise InvalidClient("method_not_registered", f"client_id {client.client_id!r}")
        self._last_used.note(right, now)
        return AuthenticatedClient(tenant, client, credentials.method)

    def _check_throttle(self, source: str, tenant_id: str, client_id: str, now: int) -> None:
        try:
            self._throttle.check(source, tenant_id, client_id, now)
        except TemporarilyUnavailable as error:
            # Turned away unread: counted, while what came before it was listed with its caller.
            self._audit.refused((now, tenant_id, "", error.reason, ""))
            raise

    async def _find_as_sent(
        self, tenant_id: str, credentials: ClientCredentials, raw: ClientCredentials
    ) -> ClientRecord | None:
        return None if raw.client_id == credentials.client_id else await self._clients.find(tenant_id, raw.client_id)


def select_credentials(seen: tuple[ClientCredentials, ...]) -> ClientCredentials:
    """Return the one set of credentials with a secret.

    A bare `client_id` beside a Basic header names the client and is no second method, if it is the same client.

    Raises:
        InvalidRequest: `two_credentials`.
        InvalidClient: `missing_credentials`, `missing_secret`.
    RFC: 6749 sections 2.3, 3.2.1.
    """
    if len(seen) == 1 and seen[0].client_secret is not None and seen[0].client_id:
        return seen[0]
    with_secret = [one for one in seen if one.method != "none"]
    if len(with_secret) > 1:
        raise InvalidRequest("two_credentials")
    if not with_secret:
        raise InvalidClient("missing_secret" if seen else "missing_credentials")
    chosen = with_secret[0]
    if any(one.client_id != chosen.client_id for one in seen):
        raise InvalidRequest("two_credentials", "two client ids")
    if not chosen.client_id:
        raise InvalidClient("missing_credentials", "a secret without client_id")
    if chosen.client_secret is None:
        raise InvalidClient("missing_secret")
    return chosen


def live_secrets(client: ClientRecord | None, now: int) -> tuple[SecretRecord, ...]:
    """Return the secrets that authenticate at this moment (seconds)."""
    if client is None:
        return ()
    return tuple([secret for secret in client.secrets if secret.expires_at is None or secret.expires_at > now])


def _readings(credentials: ClientCredentials) -> tuple[Secret, ...]:
    ways = (credentials, credentials.raw) if credentials.raw else (credentials,)
    return tuple([way.client_secret for way in ways if way.client_secret is not None])


def _refusal(client: ClientRecord | None, *, is_right: bool) -> str:
    if client is None:
        return "unknown_client"
    return "disabled_client" if is_right else "wrong_secret"


def _describe(client: ClientRecord | None) -> str:
    """Name a client in the log only if it is one: people paste secrets into the wrong field."""
    return "" if client is None else f"client_id {client.client_id!r}"
