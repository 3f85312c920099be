"""Creations that a caller may ask for again when an answer was lost: one key, one creation, one answer, for a day.

The answer is kept sealed, with the secret in it: who lost the answer has lost the secret, and asks for nothing else.
Only the same caller with the same key and the same request sees it again. A request that failed leaves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from mintmark.api.operation import Desk
from mintmark.api.problems import Refusal
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.store.records import IdempotencyRecord

HEADER: Final = b"idempotency-key"
KEY: Final = re.compile(rb"[\x21-\x7e]{1,255}")
KEPT_S: Final = 86_400
CLAIMED_S: Final = 60
"""A claim whose process died is free again after this."""
REPLAYED: Final = (b"idempotency-replayed", b"true")


class KeptAnswer(msgspec.Struct, frozen=True):
    """An answer as it is sealed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


async def answer_once(
    request: HttpRequest, desk: Desk, answer: Callable[[Desk], Awaitable[HttpResponse]]
) -> HttpResponse:
    """Answer a request with a key: by carrying it out, or as it was answered before.

    The claim, the creation and the answer are three transactions, and the last one's sync is the sync of all.

    Raises:
        Refusal: `malformed-request` (the key), `key-reused`, `key-in-use`, and what `answer` raises.
    """
    now, actor = desk.administration.now(), desk.administration.actor.name
    record = IdempotencyRecord(actor, read_key(request), digest_request(request, desk), None, now + CLAIMED_S)
    unsynced = desk.administration.unsynced()
    standing = await unsynced.store.idempotency.claim(record, now)
    if standing is not None:
        return replay(standing, record, desk)
    try:
        response = await answer(msgspec.structs.replace(desk, administration=unsynced))
    except Exception:
        await unsynced.store.idempotency.release(actor, record.key)
        raise
    sealed = desk.administration.sealing_key.seal(write_kept(response), _purpose(record))
    await desk.administration.store.idempotency.finish(actor, record.key, sealed, now + KEPT_S)
    return response


def replay(standing: IdempotencyRecord, asked: IdempotencyRecord, desk: Desk) -> HttpResponse:
    """Return the answer that stands. Raises: Refusal (`key-reused`, `key-in-use`)."""
    if standing.digest != asked.digest:
        raise Refusal("key-reused")
    if standing.sealed is None:
        raise Refusal("key-in-use", headers=(("retry-after", "1"),))
    opened = desk.administration.sealing_key.open(standing.sealed, _purpose(standing))
    kept = msgspec.json.decode(opened, type=KeptAnswer)
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


def write_kept(response: HttpResponse) -> bytes:
    """Return an answer's form under the seal."""
    headers = tuple((name.decode(), value.decode()) for name, value in response.headers)
    return msgspec.json.encode(KeptAnswer(response.status, headers, response.body))


def _purpose(record: IdempotencyRecord) -> bytes:
    return f"answer {record.actor} {record.key}".encode()
