"""One connection's bounds in time, on a transport that records what is done to it."""

from __future__ import annotations

import asyncio

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from mintmark.http.capacity import Capacity
from mintmark.http.limits import MAX_SENDING_S, BoundedHttpProtocol


class Transport(asyncio.Transport):
    """Takes what is written, and never gets rid of it: the caller does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = self.aborted = False

    def write(self, data: object) -> None: ...

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture
async def connection() -> tuple[BoundedHttpProtocol, Transport]:
    async def app(scope: object, receive: object, send: object) -> None: ...

    config = Config(app, log_config=None)
    protocol, transport = BoundedHttpProtocol(config, ServerState(), {}, capacity=Capacity()), Transport()
    protocol.connection_made(transport)
    protocol.sending_since = None
    return protocol, transport


async def test_a_caller_that_leaves_its_answers_unread_is_cut_off(connection: tuple[BoundedHttpProtocol, Transport]):
    protocol, transport = connection
    protocol.pause_writing()

    protocol.cut_off_if_slow(100.0)
    protocol.cut_off_if_slow(100.0 + MAX_SENDING_S)
    assert not transport.aborted
    protocol.cut_off_if_slow(100.1 + MAX_SENDING_S)
    assert transport.aborted


async def test_a_caller_that_reads_slowly_is_not_cut_off(connection: tuple[BoundedHttpProtocol, Transport]):
    protocol, transport = connection
    for second in range(60):
        protocol.pause_writing()
        protocol.cut_off_if_slow(float(second))
        if second % 5 == 0:
            protocol.resume_writing()

    assert not transport.aborted


async def test_a_closed_connection_does_not_wait_for_ever_to_be_read(connection: tuple[BoundedHttpProtocol, Transport]):
    protocol, transport = connection
    transport.close()

    protocol.cut_off_if_slow(100.0)
    protocol.cut_off_if_slow(100.1 + MAX_SENDING_S)

    assert transport.aborted
