"""The audit log: who did what, when, from where, with which token; before and after."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from mintmark.admin.audit import describe_record, search_audit
from mintmark.api.messages import Name, TenantId
from mintmark.api.operation import Call, Operation, Reply
from mintmark.api.paging import PageQuery, read_cursor, reply_page
from mintmark.api.problems import Fault, Refusal
from mintmark.store.records import AuditMembers, AuditRecord, AuditSearch

ANY: Final = msgspec.Meta(description="Only records of exactly this; empty: of any.")


class AuditQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The query of the audit log."""

    tenant_id: TenantId | None = None
    kind: Annotated[Name, ANY] = ""
    actor: Annotated[str, msgspec.Meta(max_length=400, description="Only acts of exactly this actor.")] = ""
    order: Literal["newest", "oldest"] = "newest"


class AuditView(AuditMembers, frozen=True, kw_only=True):
    """One record. `hash` is over it, with `body_digest` in the place of its body, and the hash before it."""

    body: Annotated[msgspec.Raw | None, msgspec.Meta(extra_json_schema={"type": ["object", "null"]})]
    """As it was written: reading it would only cost time. null: it was removed for its age."""
    body_digest: str
    """SHA-256 over the body, in hex."""
    previous: str
    hash: str


class AuditPage(msgspec.Struct, frozen=True):
    """Records. A page may be short, or empty, and there may still be a next one: it has 1 MiB at most."""

    items: tuple[AuditView, ...]
    next: str | None


async def list_page(call: Call) -> Reply:
    """Answer with a page of the records that the caller may read."""
    query, place = call.query, _read_place(call.query.cursor)
    where = {"before": place} if query.order == "newest" else {"after": place or 0}
    wanted = AuditSearch(kind=query.kind, actor=query.actor, limit=query.limit, **where)
    page = await search_audit(call.administration, wanted, query.tenant_id)
    return reply_page(call, AuditPage, tuple(map(_show, page.records)), None if page.place is None else str(page.place))


def _read_place(cursor: str) -> int | None:
    text = read_cursor(cursor)
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Refusal("invalid-query", faults=(Fault("It is no cursor of ours.", parameter="cursor"),))
    return int(text) if text else None


def _show(record: AuditRecord) -> AuditView:
    shown: dict[str, Any] = describe_record(record)
    return AuditView(**shown)


OPERATIONS: Final = (
    Operation(
        name="listAudit",
        method="GET",
        path="/audit",
        permission="audit:read",
        call=list_page,
        summary="List records of the audit log",
        about="The newest first, or the oldest. A caller sees the records of the tenants within its reach; those of"
        " the deployment itself are for the administrative tenant's clients.",
        query=AuditQuery,
        gives=AuditPage,
        problems=("not-found",),
        example_answer={
            "items": [
                {
                    "seq": 17,
                    "at": 1795207683,
                    "kind": "disable_client",
                    "actor": "client:acme/manager",
                    "tenant_id": "acme",
                    "subject": "client acme/billing",
                    "source": "192.0.2.7",
                    "token": "e8178cab-ffae-4d4e-95d0-35c801a20b2c",
                    "correlation_id": "2b7c2f0e-3a53-4b54-8f0e-6f4f6f1b6c0a",
                    "body": {"before": {"is_disabled": False}, "after": {"is_disabled": True}},
                    "body_digest": "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce",
                    "previous": "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
                    "hash": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
                }
            ],
            "next": None,
        },
    ),
)
