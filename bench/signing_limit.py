"""The signing limit: signatures a second of the `cryptography` library, in as many processes as workers.

Run as `python -m bench.signing_limit ALG SECONDS`, once a process: it prints signatures a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from bench.broken import BrokenRowError
from bench.load import WORKERS, Measure, Measured
from bench.processes import last_lines, running

SIGNING_INPUT: Final = b"x" * 400
"""As long as the header and claims of an access token."""
BATCH: Final = 16


def signer(alg: str) -> Callable[[], bytes]:
    """Return a function that signs once, with a new key."""
    if alg == "RS256":
        rsa_key = rsa.generate_private_key(65537, 2048)
        return partial(rsa_key.sign, SIGNING_INPUT, padding.PKCS1v15(), SHA256())
    ec_key = ec.generate_private_key(ec.SECP256R1())
    return partial(ec_key.sign, SIGNING_INPUT, ec.ECDSA(SHA256()))


def sign_for(alg: str, seconds: float) -> float:
    """Sign for some seconds and return the signatures a second."""
    sign, count = signer(alg), 0
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        for _ in range(BATCH):
            sign()
        count += BATCH
    return count / passed


def measure(alg: str, folder: Path, seconds: int) -> Measured:
    """Return the signatures a second of all processes together."""
    log = folder / f"signing-{alg}.log"
    command = [sys.executable, "-m", "bench.signing_limit", alg, str(seconds)]
    with running([command] * WORKERS, {}, log) as children:
        ended = [child.wait(seconds + 30) for child in children]
    output = log.read_text()
    if any(ended):
        raise BrokenRowError(f"signing failed: {last_lines(output)}")
    return Measured(sum(float(line) for line in output.split()))


def prepare(folder: Path, *, alg: str) -> Measure:
    """Make ready to measure one algorithm."""
    return partial(measure, alg, folder)


if __name__ == "__main__":
    # One write: two processes share the file, and `print` may write the line and its end apart.
    sys.stdout.write(f"{sign_for(sys.argv[1], float(sys.argv[2]))}\n")
