"""Secrets that soon expire: what somebody has to rotate before it stops working."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from mintmark.admin.client_secrets import list_expiring_secrets, place_of_secret
from mintmark.api.messages import TenantId
from mintmark.api.operation import Call, Operation, Reply
from mintmark.api.paging import PageQuery, read_cursor, reply_page
from mintmark.api.problems import Fault, Refusal
from mintmark.store.records import SecretPlace, SecretRecord

TWO_WEEKS_S: Final = 14 * 86_400
MAX_WITHIN_S: Final = 10 * 365 * 86_400


class ExpiringQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The query of the expiring secrets."""

    within_s: Annotated[int, msgspec.Meta(ge=0, le=MAX_WITHIN_S, description="How far ahead to look.")] = TWO_WEEKS_S
    tenant_id: TenantId | None = None


class ExpiringView(msgspec.Struct, frozen=True, kw_only=True):
    """A secret with an end, and whose it is."""

    tenant_id: str
    client_id: str
    secret_id: str
    label: str
    created_at: int
    expires_at: int
    last_used_at: int | None


class ExpiringPage(msgspec.Struct, frozen=True):
    """Live secrets, the soonest to expire first."""

    items: tuple[ExpiringView, ...]
    next: str | None


async def list_page(call: Call) -> Reply:
    """Answer with a page of the live secrets that soon expire."""
    query: ExpiringQuery = call.query
    if query.tenant_id is not None:
        await call.administration.require_tenant(query.tenant_id)
    found = await list_expiring_secrets(
        call.administration,
        query.tenant_id,
        within_s=query.within_s,
        after=_read_place(query.cursor),
        limit=query.limit + 1,
    )
    shown = found[: query.limit]
    items = tuple(msgspec.convert(secret, ExpiringView, from_attributes=True) for secret in shown)
    return reply_page(call, ExpiringPage, items, _write_place(shown[-1]) if len(found) > query.limit else None)


def _write_place(secret: SecretRecord) -> str:
    return msgspec.json.encode(place_of_secret(secret)).decode()


def _read_place(cursor: str) -> SecretPlace | None:
    if not cursor:
        return None
    try:
        return msgspec.json.decode(read_cursor(cursor), type=SecretPlace)
    except msgspec.DecodeError as error:
        raise Refusal("invalid-query", faults=(Fault("It is no cursor of ours.", parameter="cursor"),)) from error


OPERATIONS: Final = (
    Operation(
        name="listExpiringSecrets",
        method="GET",
        path="/expiring-secrets",
        permission="clients:read",
        call=list_page,
        summary="List live secrets that soon expire, the soonest first",
        query=ExpiringQuery,
        gives=ExpiringPage,
        problems=("not-found",),
        example_answer={
            "items": [
                {
                    "tenant_id": "acme",
                    "client_id": "billing",
                    "secret_id": "9f86d081884c7d65",
                    "label": "blue",
                    "created_at": 1795207683,
                    "expires_at": 1795294083,
                    "last_used_at": 1795290000,
                }
            ],
            "next": None,
        },
    ),
)
