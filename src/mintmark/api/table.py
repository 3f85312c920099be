"""The whole API, in the order of its page."""

from __future__ import annotations

from typing import Final

from mintmark.api import audit, clients, expiring, keys, registration_tokens, secrets, tenants, tokens
from mintmark.api.batch import batch_operation
from mintmark.api.operation import Table

SINGLE: Final = Table(
    (
        *tenants.OPERATIONS,
        *clients.OPERATIONS,
        *secrets.OPERATIONS,
        *expiring.OPERATIONS,
        *registration_tokens.OPERATIONS,
        *keys.OPERATIONS,
        *tokens.OPERATIONS,
        *audit.OPERATIONS,
    )
)
"""What can be asked for alone and in a batch."""

TABLE: Final = Table((*SINGLE.operations, batch_operation(SINGLE)))
