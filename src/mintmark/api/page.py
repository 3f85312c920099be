"""The page for people at `/api/v1/docs`: the same table once more, as plain HTML without a script.

Everything it needs is here: no address but our own is asked for anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from itertools import groupby
from typing import Any, Final

import msgspec

from mintmark.api.document import ABOUT, problems_of
from mintmark.api.operation import PREFIX, Operation, Table
from mintmark.api.problems import PROBLEMS, TYPE_PREFIX

PAGE_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
}

STYLE: Final = b"""\
:root { color-scheme: light dark; --line: #c9ccd1; --soft: #f3f4f6; --text: #1b1d21; --ground: #fff; --link: #0b57d0;
  --quiet: #565b63; }
@media (prefers-color-scheme: dark) {
  :root { --line: #43474e; --soft: #23262b; --text: #e8eaed; --ground: #17191c; --link: #9ec1ff; --quiet: #a6acb5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--text);
  background: var(--ground); }
a { color: var(--link); }
h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 2.5rem; text-transform: capitalize; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; list-style: none; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; }
summary { cursor: pointer; padding: .6rem .8rem; overflow-wrap: anywhere; }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
summary span { color: var(--quiet); }
details > div { padding: 0 .8rem .8rem; border-top: 1px solid var(--line); }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
code { overflow-wrap: anywhere; }
pre { background: var(--soft); border-radius: .3rem; padding: .7rem; overflow-x: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top; }
"""

HEAD: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mintmark management API</title>
<link rel="stylesheet" href="/api/v1/docs.css">
</head>
<body>
"""
FOOT: Final = "</body>\n</html>\n"


def write_page(table: Table) -> bytes:
    """Return the page as UTF-8."""
    sections = [(noun, list(rows)) for noun, rows in groupby(table.operations, lambda one: one.noun)]
    links = "".join(f'<li><a href="#{noun}">{title_of(noun)}</a></li>' for noun, _ in sections)
    parts = [
        HEAD,
        f"<header><h1>Mintmark management API</h1><p>{prose(ABOUT)}</p>",
        f'<p>For programs: <a href="{PREFIX}/openapi.json">openapi.json</a> (OpenAPI 3.1).</p></header>',
        f'<nav aria-label="Contents"><ul>{links}<li><a href="#problems">problems</a></li></ul></nav>\n<main>\n',
        *(write_section(noun, rows) for noun, rows in sections),
        write_problems(),
        "</main>\n",
        FOOT,
    ]
    return "".join(parts).encode()


def title_of(noun: str) -> str:
    """Return a noun as people write it."""
    return noun.replace("_", " ")


def write_section(noun: str, operations: Iterable[Operation]) -> str:
    """Return the operations of a noun."""
    return f'<section id="{noun}"><h2>{title_of(noun)}</h2>\n{"".join(map(write_operation, operations))}</section>\n'


def write_operation(operation: Operation) -> str:
    """Return one operation, folded."""
    parts = [f"<p>{prose(operation.about)}</p>" if operation.about else "", write_facts(operation)]
    for title, example in (("Request", operation.example), ("Answer", operation.example_answer)):
        if example is not None:
            parts.append(f"<h3>{title}</h3>\n<pre><code>{write_json(example)}</code></pre>\n")
    name = f"<code>{operation.method} {escape(PREFIX + operation.path)}</code>"
    return (
        f'<details id="{operation.name}"><summary>{name} <span>{escape(operation.summary)}</span></summary>\n'
        f"<div>{''.join(parts)}</div></details>\n"
    )


def write_facts(operation: Operation) -> str:
    """Return what an operation needs and answers, as a table."""
    refusals = ", ".join(f'<a href="#{name}">{name}</a>' for name in problems_of(operation))
    headers = [
        *(["ETag, If-Match, If-None-Match"] if operation.is_versioned else []),
        *(["Idempotency-Key"] if operation.is_creation else []),
    ]
    facts = {
        "Permission": f"<code>{operation.permission}</code>" if operation.permission else "none of its own",
        "Query": ", ".join(f"<code>{name}</code>" for name in operation.query.__struct_fields__),
        "Body": write_members(operation.takes),
        "Headers": ", ".join(headers),
        "Success": str(operation.success),
        "Refusals": refusals,
    }
    rows = (f'<tr><th scope="row">{name}</th><td>{text}</td></tr>' for name, text in facts.items() if text)
    return f'<div class="scroll"><table><tbody>{"".join(rows)}</tbody></table></div>\n'


def write_members(kind: type[msgspec.Struct] | None) -> str:
    """Return the members of a body, those that must be there marked."""
    fields = msgspec.structs.fields(kind) if kind is not None else ()
    return ", ".join(f"<code>{field.encode_name}</code>{' (required)' if field.required else ''}" for field in fields)


def write_problems() -> str:
    """Return the closed list of refusals."""
    rows = "".join(
        f'<tr id="{name}"><td>{row.status}</td><td><code>{TYPE_PREFIX}{name}</code></td>'
        f"<td>{escape(row.title)} {prose(row.about)}</td></tr>\n"
        for name, row in PROBLEMS.items()
    )
    heads = '<tr><th scope="col">Status</th><th scope="col">type</th><th scope="col">When</th></tr>'
    return (
        '<section id="problems"><h2>problems</h2>\n<div class="scroll"><table>'
        f"<thead>{heads}</thead>\n<tbody>{rows}</tbody></table></div></section>\n"
    )


def write_json(value: Any) -> str:
    """Return an example for reading."""
    return escape(msgspec.json.format(msgspec.json.encode(value), indent=2).decode(), quote=False)


def prose(text: str) -> str:
    """Return a text as HTML, what stands in backticks as code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
