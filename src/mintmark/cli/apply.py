"""`mintmark apply`: bring a deployment to what a file says, and show first what that takes."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from mintmark.admin.administration import Administration, AdministrationError
from mintmark.admin.declaration import Declaration, read_declaration
from mintmark.admin.declared_secrets import MadeForClient, References
from mintmark.admin.plan import Plan, Step, execute, rehearse
from mintmark.admin.planning import make_plan
from mintmark.cli.options import add_command, add_json, print_json, with_deployment

SOMETHING_TO_DO: Final = 3
"""How a dry run ends whose plan is not empty; 2 is a wrong command line."""
ACTS: Final = ("create", "change", "delete")


def add_parser(parsers: Any) -> None:
    """Add the command."""
    text = "bring tenants, clients, secrets and sites to what a file says, all or nothing"
    apply = add_command(parsers, "apply", run, text=text, example="mintmark apply mintmark-acme.toml --dry-run")
    apply.add_argument("file", type=Path, metavar="FILE")
    text = (
        f"show the plan and change nothing; ends with 0 where there is nothing to do, {SOMETHING_TO_DO} where there is"
    )
    apply.add_argument("--dry-run", action="store_true", help=text)
    text = "delete clients, secrets and sites that the file does not name, of the tenants that it names"
    apply.add_argument("--prune", action="store_true", help=text)
    apply.add_argument(
        "--yes", action="store_true", help="delete what the plan deletes; without it such a plan is refused"
    )
    add_json(apply)


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    declaration = read_declaration(arguments.file)
    return with_deployment(arguments, lambda one: _apply(one, declaration, arguments))


async def _apply(administration: Administration, declaration: Declaration, arguments: argparse.Namespace) -> int:
    references = References(declaration.file.parent)
    plan = await make_plan(administration, declaration, references, prune=arguments.prune)
    if plan.faults or arguments.dry_run:
        # Where something is wrong, this tells all of it.
        await rehearse(administration, plan)
    if not arguments.json:
        _print_plan(plan)
    if arguments.dry_run:
        if arguments.json:
            print_json(_describe(plan, [], is_applied=False))
        return SOMETHING_TO_DO if plan.steps else 0
    if plan.deletes and not arguments.yes:
        raise AdministrationError("the plan deletes what is there; where that is meant, say --yes. Nothing was changed")
    made = await execute(administration, plan)
    if arguments.json:
        print_json(_describe(plan, made, is_applied=True))
    else:
        _print_made(made)
    return 0


def _print_plan(plan: Plan) -> None:
    for step in plan.steps:
        print(f"{step.act} {step.noun} {_visible(step.name)}")
        for line in _lines_of(step):
            print(f"    {line}")
    counts = Counter(step.act for step in plan.steps)
    print(", ".join(f"{counts[act]} to {act}" for act in ACTS) if plan.steps else "nothing to do")


def _lines_of(step: Step) -> Iterator[str]:
    for change in step.changes:
        before, after = (_json_text(value) for value in (change.before, change.after))
        if step.act == "change":
            yield f"{change.member}: {before} -> {after}"
        else:
            yield f"{change.member}: {before if step.act == 'delete' else after}"


def _json_text(value: Any) -> str:
    text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
    return text if text.isprintable() else json.dumps(msgspec.to_builtins(value))


def _visible(name: str) -> str:
    return name if name.isprintable() else json.dumps(name)


def _print_made(made: Sequence[MadeForClient]) -> None:
    for one in made:
        label = f" ({one.label})" if one.label else ""
        where = one.client_secret.reveal() if one.file is None else f"written to {one.file}"
        print(f"client_secret of {one.tenant_id}/{one.client_id}{label}: {where}")
    if any(one.file is None for one in made):
        print("A secret is shown this once and kept only as a hash.")


def _describe(plan: Plan, made: Sequence[MadeForClient], *, is_applied: bool) -> dict[str, Any]:
    """Return a plan as JSON: with the secrets that were made, where it has been executed, and no other."""
    steps = [
        {"act": step.act, "noun": step.noun, "name": step.name, "changes": [one._asdict() for one in step.changes]}
        for step in plan.steps
    ]
    secrets = [
        {
            "tenant_id": one.tenant_id,
            "client_id": one.client_id,
            "label": one.label,
            **({"client_secret": one.client_secret.reveal()} if one.file is None else {"file": str(one.file)}),
        }
        for one in made
    ]
    return {"steps": msgspec.to_builtins(steps), "is_applied": is_applied, "made": secrets}
