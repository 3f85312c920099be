"""Child processes that never outlive the benchmark, and free ports for them to listen on."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bench.broken import BrokenRowError

ENDING_S: Final = 5
PORTS: Final = range(20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections: wrk's own cannot take a server's."""

Command = Sequence[str | Path]


@contextmanager
def running(commands: Sequence[Command], env: Mapping[str, str], log: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run commands side by side, each the leader of a group; all groups are ended on the way out."""
    children: list[subprocess.Popen[bytes]] = []
    with log.open("wb") as output:
        try:
            for command in commands:
                children.append(  # noqa: PERF401 - a list that is filled one by one ends those that did start
                    subprocess.Popen(
                        command,
                        env=os.environ | env,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,
                    )
                )
            yield children
        finally:
            end(children)


def end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask each group to end, wait a little, and kill what is left."""
    try:
        for child in children:
            signal_group(child, signal.SIGTERM)
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(ENDING_S)
    finally:
        for child in children:
            signal_group(child, signal.SIGKILL)
            child.wait()


def signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a child and to what it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def run(command: Command, env: Mapping[str, str], *, timeout_s: float, cwd: Path | None = None) -> str:
    """Run a command to its end and return what it wrote. Raises: BrokenRowError, with its last words."""
    name = " ".join([Path(command[0]).name, *map(str, command[1:3])])
    try:
        done = subprocess.run(
            command,
            env=os.environ | env,
            cwd=cwd,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise BrokenRowError(f"{command[0]} is not there: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise BrokenRowError(f"`{name}` did not end within {timeout_s:g} s") from error
    if done.returncode != 0:
        raise BrokenRowError(f"`{name}` ended with {done.returncode}: {last_lines(done.stderr or done.stdout)}")
    return done.stdout


def last_lines(text: str) -> str:
    """Shorten a program's output to its end, in one line."""
    return " / ".join(text.strip().splitlines()[-4:]) or "(no output)"


def find_free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    for port in random.sample(PORTS, 50):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise BrokenRowError("no free port was found on 127.0.0.1")
