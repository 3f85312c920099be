"""Who calls: from the token in the Authorization header to the actor on whose behalf the verbs act.

The API is a protected resource like any other; its tokens are our own, of whichever tenant.
RFC: 6750 sections 2.1 and 3, RFC: 9728 section 5.1.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from mintmark.admin.actor import actor_of_token
from mintmark.admin.administration import Administration
from mintmark.admin.permissions import MANAGEMENT_AUDIENCE
from mintmark.api.operation import Desk
from mintmark.api.problems import Exchange, Refusal
from mintmark.authentication.throttle import caller_of
from mintmark.protocol.secret import Secret
from mintmark.store.events import AuditBuffer
from mintmark.tokens.verification import TokenVerifier

BEARER: Final = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)
"""RFC: 6750 section 2.1."""


class Callers:
    """Tells callers by their tokens."""

    def __init__(self, administration: Administration, verifier: TokenVerifier, audit: AuditBuffer) -> None:
        self._administration = administration
        self._audit = audit
        self._verifier = verifier

    async def admit(self, token: Secret, source: str, exchange: Exchange) -> Desk:
        """Return the desk at which the caller who shows a token is served.

        Raises: Refusal (`invalid-token`).
        """
        live = await self._verifier.find_live_anywhere(token)
        if live is None or live.kind != "access" or MANAGEMENT_AUDIENCE not in live.audience:
            whose = (live.tenant_id, live.client_id) if live else (None, "")
            self._audit.refused((self._administration.now(), *whose, "invalid_token", caller_of(source)))
            raise Refusal("invalid-token")
        tenants = self._administration.store.tenants
        actor = await actor_of_token(live, tenants, source=source, correlation_id=exchange.correlation_id)
        administration = self._administration.on_behalf_of(actor)
        return Desk(administration, self._verifier, exchange, live, partial(self.admit, token, source, exchange))


def read_token(authorization: bytes) -> Secret:
    """Return the token in an Authorization header, the only place for one. Raises: Refusal (`no-token`)."""
    shown = BEARER.fullmatch(authorization)
    if shown is None:
        raise Refusal("no-token")
    return Secret(shown[1].decode("ascii"))
