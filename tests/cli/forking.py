"""Runs commands as a program that has already imported them: each in a process of its own, forked off this one.

It reads one JSON object a line on standard input (words, cwd, env, stdin) and answers with one (code, stdout, stderr).
A hundred commands would else spend a minute importing the same modules.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import tempfile
from typing import Any, NoReturn

from mintmark.cli import NOUNS, main

PATIENCE_S = 30


def serve() -> None:
    for noun in NOUNS:
        importlib.import_module(f"mintmark.cli.{noun}")
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


def run(asked: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(asked["stdin"].encode())
        stdin.seek(0)
        pid = os.fork()
        if pid == 0:
            become(asked, (stdin.fileno(), stdout.fileno(), stderr.fileno()))
        _, status = os.waitpid(pid, 0)
        return {
            "code": os.waitstatus_to_exitcode(status),
            "stdout": read_back(stdout),
            "stderr": read_back(stderr),
        }


def read_back(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="backslashreplace"))


def become(asked: dict[str, Any], files: tuple[int, int, int]) -> NoReturn:
    """Be the command. What Python itself would print of an error that nobody caught is printed here."""
    code: object = 1
    try:
        signal.alarm(PATIENCE_S)
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        code = main(asked["words"])
    except SystemExit as ending:
        code = ending.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    serve()
