"""The real command line: one command run to its end, or a server that runs until it is told to stop."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from tests.endpoints.servers import clean_environment

MINTMARK: Final = Path(sys.executable).with_name("mintmark")
REPOSITORY: Final = Path(__file__).parents[2]
PATIENCE_S: Final = 30
LAST_LINE: Final = "Ctrl-C stops it.\n"


def command_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Where Python may not keep bytecode beside its modules, each of some hundred commands would compile anew."""
    environment = clean_environment(**(more or {}))
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        environment["PYTHONPYCACHEPREFIX"] = str(REPOSITORY / ".cache" / "bytecode")
    return environment


class Done(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def run_process(*words: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Done:
    """Run a command to its end, as a shell would."""
    done = subprocess.run(
        [MINTMARK, *words],
        cwd=cwd,
        env=command_environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def run_mintmark(*words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "") -> Done:
    """Run a command to its end in a process that has imported it before: see `forking`."""
    forking = _start_forking()
    assert forking.stdin is not None
    assert forking.stdout is not None
    asked = {"words": [*map(str, words)], "cwd": str(cwd), "env": command_environment(env), "stdin": stdin}
    forking.stdin.write(json.dumps(asked) + "\n")
    forking.stdin.flush()
    return Done(**json.loads(forking.stdout.readline()))


@functools.cache
def _start_forking() -> subprocess.Popen[str]:
    """It ends with us, when its standard input does."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cli.forking"],
        cwd=REPOSITORY,
        env=command_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def must_run(*words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "") -> str:
    """Run a command that has to succeed, and return what it printed."""
    done = run_mintmark(*words, cwd=cwd, env=env, stdin=stdin)
    assert (done.code, done.stderr) == (0, ""), done.stderr
    return done.stdout


class Serving:
    """A `mintmark serve` that has printed its last line, so that its sockets take connections.

    Raises:
        RuntimeError: it ended instead; the text is what it wrote on standard error.
    """

    def __init__(self, *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = cwd / "serve.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [MINTMARK, "serve", *words],
                cwd=cwd,
                env=command_environment(env),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.lines = self._read_lines()

    def _read_lines(self) -> list[str]:
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line)
            if line == LAST_LINE:
                return lines
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        raise RuntimeError(self.log.read_text())

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.wait()
