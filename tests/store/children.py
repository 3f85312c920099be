"""What the tests run as processes of their own: `python children.py <verb> <url> ...`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from mintmark.store.events import AuditBuffer, records_of
from mintmark.store.records import Act, ReuseSlot, TenantRecord, TokenRecord
from mintmark.store.schema import migrate
from mintmark.store.sql_store import SqlStore

EXPIRES_AT = 2_000_000_000


def new_token() -> TokenRecord:
    return TokenRecord(os.urandom(32), "acme", "meter", "access", "read", "", 0, EXPIRES_AT, 1, 1)


def say(text: str) -> None:
    """One write a line, past every buffer: what has been said survives a kill."""
    os.write(1, f"{text}\n".encode())


def wait_for(path: str) -> None:
    say("ready")
    while not Path(path).exists():
        time.sleep(0.001)


async def load(url: str) -> None:
    """Add tokens for ever, and say each one's digest when it has been acknowledged."""
    store = SqlStore.open(url)
    await store.upkeep.tend_log()

    async def add_for_ever() -> None:
        while True:
            record = new_token()
            await store.tokens.add([record])
            say(record.digest.hex())

    await asyncio.gather(*(add_for_ever() for _ in range(32)))


async def race(url: str, start: str, slots: str) -> None:
    """Put own tokens into each of the slots, several at a time, and say which token was answered."""
    store = SqlStore.open(url)
    wait_for(start)

    async def put(name: str) -> None:
        record = new_token()
        slot = ReuseSlot("acme", "meter", name, "", 1, 1)
        answered = await store.tokens.add_reusable(record, slot, record.digest, 0)
        say(f"{name} {answered.digest.hex()} {record.digest.hex()}")

    for number in range(int(slots)):
        await asyncio.gather(*(put(f"slot{number}") for _ in range(4)))
    await store.close()


async def rotate(url: str, start: str, *digests: str) -> None:
    """Use each of the refresh tokens several times at once, and say what was answered and what was to replace it."""
    store = SqlStore.open(url)
    wait_for(start)

    async def use(digest: str) -> None:
        new = new_token()
        answer = await store.tokens.rotate(bytes.fromhex(digest), [new], 0, 10)
        say(f"{digest} {answer} {new.digest.hex()}")

    for digest in digests:
        await asyncio.gather(*(use(digest) for _ in range(3)))
    await store.close()


async def append(url: str, start: str, number: str) -> None:
    """Change one client again and again as somebody, several at a time, while events come in between."""
    store = SqlStore.open(url)
    act = Act(kind="test", at=0, actor="local:me")
    wait_for(start)
    for _ in range(int(number)):
        buffer = AuditBuffer()
        buffer.issued("acme", (0, "meter", "read", "access", os.urandom(8).hex(), EXPIRES_AT))
        events = buffer.drain()
        assert events is not None
        await asyncio.gather(
            *(store.acting(act).clients.change("acme", "meter", {"client_name": str(one)}) for one in range(3)),
            store.unsynced().audit.add_events(list(records_of(events, 0))),
        )
    await store.close()


def lead(url: str, led: str) -> None:
    """Try until this process leads, write its number down, and lead until killed."""
    store = SqlStore.open(url)
    while not asyncio.run(store.leadership.try_acquire()):
        time.sleep(0.005)
    with Path(led).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(60)


async def add_tenant(url: str) -> None:
    """Make one registered change."""
    store = SqlStore.open(url)
    await store.tenants.add(TenantRecord(tenant_id="acme", dialect="oauth2", issuer="https://a.example"), [])
    await store.close()


async def begin_block(url: str) -> None:
    """Make registered changes in a block, and wait in it until killed."""
    store = SqlStore.open(url)
    async with store.together() as together:
        await together.tenants.add(TenantRecord(tenant_id="acme", dialect="oauth2", issuer="https://a.example"), [])
        say("begun")
        await asyncio.sleep(60)


async def add_some(url: str) -> None:
    """Open, add and close, as a worker does."""
    store = SqlStore.open(url)
    records = [new_token() for _ in range(100)]
    await asyncio.gather(*(store.tokens.add([record]) for record in records))
    await store.close()
    for record in records:
        say(record.digest.hex())


def fork_workers(url: str) -> None:
    """Open, use and close a store; then fork workers that each open their own."""
    asyncio.run(add_some(url))
    workers = []
    for _ in range(3):
        worker = os.fork()
        if worker == 0:
            asyncio.run(add_some(url))
            os._exit(0)
        workers.append(worker)
    if any(os.waitpid(worker, 0)[1] for worker in workers):
        raise SystemExit("a worker failed")
    asyncio.run(add_some(url))


def use_inherited(url: str) -> None:
    """Fork with an open store, and say what the child is told when it reads and writes with it."""
    store = SqlStore.open(url)
    child = os.fork()
    if child == 0:
        for call in (store.tokens.add([new_token()]), store.tokens.find(b""), store.leadership.try_acquire()):
            try:
                asyncio.run(call)
            except Exception as error:
                say(f"{type(error).__name__}: {error}")
        os._exit(0)
    os.waitpid(child, 0)
    asyncio.run(store.close())


def race_migrate(url: str, start: str) -> None:
    """Migrate at the same moment as the others."""
    wait_for(start)
    migrate(url)


def start_time(url: str) -> None:
    """Open and close, and say whether Alembic was loaded for it."""
    asyncio.run(SqlStore.open(url).close())
    say(str("alembic" in sys.modules))


VERBS = {
    verb.__name__: verb
    for verb in (
        load,
        race,
        rotate,
        append,
        lead,
        add_tenant,
        begin_block,
        fork_workers,
        use_inherited,
        race_migrate,
        start_time,
    )
}

if __name__ == "__main__":
    ended = VERBS[sys.argv[1]](*sys.argv[2:])
    if ended is not None:
        asyncio.run(ended)
