"""Creations that a caller may ask for again when an answer was lost: one key, one creation, one answer, for a day.

The answer is kept sealed, with the secret in it: who lost the answer has lost the secret, and asks for nothing else.
Only the same caller with the same key and the same request sees it again, and only while it may do what it did: with
all the permissions of then, and the tenant within its reach. A request that failed leaves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from mintmark.admin.administration import PermissionRefused, no_tenant
from mintmark.api.operation import Desk, Found
from mintmark.api.problems import Refusal
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.store.records import IdempotencyRecord

HEADER: Final = b"idempotency-key"
KEY: Final = re.compile(rb"[\x21-\x7e]{1,255}")
KEPT_S: Final = 86_400
REPLAYED: Final = (b"idempotency-replayed", b"true")


class KeptAnswer(msgspec.Struct, frozen=True):
    """An answer as it is sealed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    permissions: frozenset[str]
    """What the caller might do who made it."""
    tenant_id: str
    """Of what was made."""


async def answer_once(
    found: Found, request: HttpRequest, desk: Desk, answer: Callable[[Desk], Awaitable[HttpResponse]]
) -> HttpResponse:
    """Answer a request with a key: by carrying it out, or as it was answered before.

    The creation and the keeping of its answer are one transaction, for which parallel requests wait.

    Raises:
        Refusal: `malformed-request` (the key), `key-reused`, and what `answer` raises.
        AdministrationError: the caller may not do any more what it did.
    """
    administration, key = desk.administration, read_key(request)
    named = (administration.actor.name, key, administration.now())
    if (standing := await administration.store.idempotency.find(*named)) is not None:
        return replay(standing, request, desk)
    async with administration.store.together() as store:
        if (standing := await store.idempotency.find(*named)) is not None:
            # While this one waited, what was made may have come within its reach.
            return replay(standing, request, await desk.admit_again())
        together = msgspec.structs.replace(administration, store=store)
        response = await answer(msgspec.structs.replace(desk, administration=together))
        await store.idempotency.keep(seal(found, response, request, desk, key))
    return response


def seal(found: Found, response: HttpResponse, request: HttpRequest, desk: Desk, key: str) -> IdempotencyRecord:
    """Return what is kept of an answer."""
    actor, ends = desk.administration.actor.name, desk.administration.now() + KEPT_S
    sealed = desk.administration.sealing_key.seal(write_kept(found, response, desk), _purpose(actor, key))
    return IdempotencyRecord(actor, key, digest_request(request, desk), sealed, ends)


def replay(standing: IdempotencyRecord, request: HttpRequest, desk: Desk) -> HttpResponse:
    """Return the answer that stands, to who might do now what was done. Raises: Refusal, AdministrationError."""
    if standing.digest != digest_request(request, desk):
        raise Refusal("key-reused")
    opened = desk.administration.sealing_key.open(standing.sealed, _purpose(standing.actor, standing.key))
    kept = msgspec.json.decode(opened, type=KeptAnswer)
    require_same_rights(kept, desk)
    headers = tuple((name.encode(), value.encode()) for name, value in kept.headers)
    return HttpResponse(kept.status, (*headers, REPLAYED), kept.body)


def read_key(request: HttpRequest) -> str:
    """Return the key. Raises: Refusal (`malformed-request`)."""
    key = request.headers[HEADER]
    if KEY.fullmatch(key) is None:
        raise Refusal("malformed-request", "Idempotency-Key: wanted are 1 to 255 printable ASCII characters.")
    return key.decode("ascii")


def digest_request(request: HttpRequest, desk: Desk) -> str:
    """Return a keyed hash of a request: its body may hold a secret that a person chose."""
    parts = (request.method.encode(), request.path.encode("utf-8", "surrogateescape"), request.query, request.body)
    return desk.administration.keyed_hash.hash_secret(b"\n".join(parts))


def require_same_rights(kept: KeptAnswer, desk: Desk) -> None:
    """Make sure that the caller has no less than when it made it. Raises: Missing, PermissionRefused."""
    actor = desk.administration.actor
    if not actor.reaches(kept.tenant_id):
        raise no_tenant(kept.tenant_id)
    if missing := kept.permissions - actor.permissions:
        raise PermissionRefused(f"this was made with more permissions: {' '.join(sorted(missing))}")


def write_kept(found: Found, response: HttpResponse, desk: Desk) -> bytes:
    """Return an answer's form under the seal. A creation without a tenant in its path is that of a tenant."""
    tenant_id = found.path.get("tenant_id") or msgspec.json.decode(response.body)["tenant_id"]
    headers = tuple((name.decode(), value.decode()) for name, value in response.headers)
    return msgspec.json.encode(
        KeptAnswer(response.status, headers, response.body, desk.administration.actor.permissions, tenant_id)
    )


def _purpose(actor: str, key: str) -> bytes:
    return f"answer {actor} {key}".encode()
