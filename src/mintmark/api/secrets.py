"""A client's secrets: list, add, rotate, reset, remove. A secret is shown in the answer that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mintmark.admin.administration import Administration
from mintmark.admin.client_secrets import add_secret, remove_secret, rotate_secret
from mintmark.admin.clients import require_client
from mintmark.api.clients import CLIENT
from mintmark.api.messages import Given, Name, NewSecret, Seconds, SecretView, show_new_secret, show_secret
from mintmark.api.operation import Call, Operation, Reply
from mintmark.protocol.secret import Secret
from mintmark.store.records import SecretRecord

SECRETS: Final = CLIENT + "/secrets"
EXAMPLE_VIEW: Final[Mapping[str, Any]] = {
    "secret_id": "9f86d081884c7d65",
    "label": "blue",
    "created_at": 1795207683,
    "expires_at": None,
    "last_used_at": None,
}
EXAMPLE_NEW: Final[Mapping[str, Any]] = {**EXAMPLE_VIEW, "client_secret": "mms_JK50q9Jc_J1LlWbspYaSFWu1iUZ..."}


class SecretCreation(Given, frozen=True, kw_only=True):
    """A secret to add beside the others."""

    label: Name = ""
    expires_at: Seconds | None = None


class SecretRotation(Given, frozen=True, kw_only=True):
    """A secret to put in the place of the others, which go on for `overlap_s` seconds."""

    label: Name = ""
    expires_at: Seconds | None = None
    overlap_s: Seconds | None = None


class SecretReset(Given, frozen=True, kw_only=True):
    """A secret to put in the place of the others at once."""

    label: Name = ""


class SecretList(msgspec.Struct, frozen=True):
    """A client's secrets, newest first."""

    items: tuple[SecretView, ...]


async def list_all(call: Call) -> Reply:
    """Answer with what may be known of a client's secrets."""
    client = await require_client(call.administration, call.path["tenant_id"], call.path["client_id"])
    return Reply(SecretList(tuple(show_secret(secret) for secret in client.secrets)))


async def add(call: Call) -> Reply:
    """Give a client one more secret."""
    given = msgspec.structs.asdict(call.body)
    return _show(*await add_secret(*_client(call), **given, if_version=call.if_version))


async def rotate(call: Call) -> Reply:
    """Give a client a new secret; the others end after the overlap."""
    given = msgspec.structs.asdict(call.body)
    return _show(*await rotate_secret(*_client(call), **given, if_version=call.if_version))


async def reset(call: Call) -> Reply:
    """Give a client a new secret; the others end at once."""
    return _show(*await rotate_secret(*_client(call), label=call.body.label, overlap_s=0, if_version=call.if_version))


async def remove(call: Call) -> Reply:
    """Remove a secret."""
    await remove_secret(*_client(call), call.path["secret_id"], if_version=call.if_version)
    return Reply()


def _client(call: Call) -> tuple[Administration, str, str]:
    return call.administration, call.path["tenant_id"], call.path["client_id"]


def _show(record: SecretRecord, secret: Secret) -> Reply:
    return Reply(show_new_secret(record, secret))


def making(*, others: str, example: dict[str, Any], **row: Any) -> Operation:
    """Return a row that gives a client a new secret. `others`: what becomes of the client's others."""
    return Operation(
        method="POST",
        permission="clients:write",
        about=f"The secret is in this answer and in no other. {others}",
        gives=NewSecret,
        success=201,
        is_creation=True,
        is_versioned=True,
        example=example,
        example_answer={**EXAMPLE_NEW, "label": example["label"]},
        **row,
    )


OPERATIONS: Final = (
    Operation(
        name="listSecrets",
        method="GET",
        path=SECRETS,
        permission="clients:read",
        call=list_all,
        summary="List a client's secrets, newest first",
        about="Never the secrets themselves. `last_used_at` is right to within a minute.",
        gives=SecretList,
        example_answer={"items": [EXAMPLE_VIEW]},
    ),
    making(
        name="addSecret",
        path=SECRETS,
        call=add,
        summary="Give a client one more secret",
        others="The others go on.",
        takes=SecretCreation,
        problems=("limit-reached", "refused"),
        example={"label": "blue"},
    ),
    making(
        name="rotateSecret",
        path=SECRETS + "/rotate",
        call=rotate,
        summary="Give a client a new secret and let the others expire",
        others="The others authenticate for `overlap_s` seconds more, a day if it is left out.",
        takes=SecretRotation,
        problems=("limit-reached", "refused"),
        example={"label": "green", "overlap_s": 3600},
    ),
    making(
        name="resetSecret",
        path=SECRETS + "/reset",
        call=reset,
        summary="Replace all secrets of a client at once",
        others="The others are gone, and in some systems the client's tokens with them.",
        takes=SecretReset,
        problems=("refused",),
        example={"label": "after the leak"},
    ),
    Operation(
        name="removeSecret",
        method="DELETE",
        path=SECRETS + "/{secret_id}",
        permission="clients:write",
        call=remove,
        summary="Remove a secret",
        about="It authenticates no more.",
        success=204,
        is_versioned=True,
        problems=("limit-reached",),
    ),
)
