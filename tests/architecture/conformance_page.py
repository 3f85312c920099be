"""The page that tells which sections of which RFC are proven, and by which tests: written from the marks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

PAGE = Path("docs/conformance.md")
COMMAND = f"python -m pytest --collect-only -qq --rfc-page={PAGE}"

TITLES = {
    "2104": "HMAC",
    "6585": "Additional HTTP Status Codes",
    "6749": "The OAuth 2.0 Authorization Framework",
    "6750": "Bearer Token Usage",
    "7009": "OAuth 2.0 Token Revocation",
    "7515": "JSON Web Signature",
    "7516": "JSON Web Encryption",
    "7517": "JSON Web Key",
    "7518": "JSON Web Algorithms",
    "7519": "JSON Web Token",
    "7591": "OAuth 2.0 Dynamic Client Registration",
    "7617": "The 'Basic' HTTP Authentication Scheme",
    "7662": "OAuth 2.0 Token Introspection",
    "8037": "CFRG Elliptic Curves in JOSE",
    "8259": "JSON",
    "8414": "OAuth 2.0 Authorization Server Metadata",
    "8615": "Well-Known Uniform Resource Identifiers",
    "8707": "Resource Indicators for OAuth 2.0",
    "8725": "JSON Web Token Best Current Practices",
    "9068": "JWT Profile for OAuth 2.0 Access Tokens",
    "9110": "HTTP Semantics",
    "9112": "HTTP/1.1",
    "9562": "Universally Unique IDentifiers",
    "9700": "Best Current Practice for OAuth 2.0 Security",
    "9701": "JWT Response for OAuth Token Introspection",
    "9728": "OAuth 2.0 Protected Resource Metadata",
}

HEAD = f"""# What the tests prove

Each section of an RFC below is proven by the tests named under it. The page is written from the marks of the tests
(`@pytest.mark.rfc("6749", "2.3.1")`), and a test holds that it is current:

    {COMMAND}
"""

Proof = tuple[str, str]
"""A file and a test's name."""


def collect_proofs(items: Iterable[pytest.Item]) -> dict[str, dict[str, set[Proof]]]:
    """Gather from the collected tests: by RFC number and section, the tests that prove it."""
    proofs: dict[str, dict[str, set[Proof]]] = defaultdict(lambda: defaultdict(set))
    for item in items:
        for mark in item.iter_markers("rfc"):
            number, section = mark.args
            name = getattr(item, "originalname", None) or item.name
            proofs[number][section].add((item.location[0], name))
    return proofs


def write_page(proofs: dict[str, dict[str, set[Proof]]]) -> str:
    """Write the page. The order is that of the RFCs, not of the tests."""
    lines = [HEAD]
    for number in sorted(proofs, key=int):
        lines.append(f"## RFC {number}: {TITLES.get(number, 'see the RFC')}\n")
        for section in sorted(proofs[number], key=section_order):
            lines.append(f"### Section {section}\n")
            lines += [f"- {sentence(name)} (`{path}`)" for path, name in sorted(proofs[number][section], key=by_name)]
            lines.append("")
    return "\n".join(lines)


def section_order(section: str) -> tuple[Any, ...]:
    """`2.10` comes after `2.9`, and an appendix after all."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in section.split("."))


def by_name(proof: Proof) -> tuple[str, str]:
    return proof[1], proof[0]


def sentence(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")
