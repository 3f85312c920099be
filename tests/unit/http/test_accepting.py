"""Connections that wait are taken all at once: under load a turn of the event loop is long."""

from __future__ import annotations

import asyncio
import socket

import uvloop

from mintmark.http.accepting import Acceptor

WAITING = 100
TURNS = 10


class Counting(asyncio.Protocol):
    """Counts its connections."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).made += 1
        transport.close()


async def count_taken(listening: socket.socket) -> int:
    acceptor = Acceptor(listening, None, Counting)
    acceptor.start()
    for _ in range(TURNS):
        await asyncio.sleep(0)
    acceptor.close()
    return Counting.made


def test_all_that_wait_are_taken_within_a_few_turns():
    listening = socket.create_server(("127.0.0.1", 0), backlog=WAITING)
    callers = [socket.create_connection(listening.getsockname()) for _ in range(WAITING)]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(count_taken(listening)) == WAITING
    for caller in callers:
        caller.close()


async def test_once_closed_it_takes_nobody():
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    acceptor = Acceptor(listening, None, Counting)
    acceptor.start()
    acceptor.close()
    acceptor.close()
    try:
        await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        return
    raise AssertionError("somebody listens still")
