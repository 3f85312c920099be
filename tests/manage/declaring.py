"""A deployment that files are applied to, from a folder of its own; every call opens it anew, as a command does."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from mintmark.admin.administration import Administration
from mintmark.admin.declaration import DeclarationRefused, read_declaration
from mintmark.admin.declared_secrets import MadeForClient, References
from mintmark.admin.export import export_declaration
from mintmark.admin.plan import Plan, execute, rehearse
from mintmark.admin.planning import make_plan
from tests.endpoints.deployments import Deployment

Result = TypeVar("Result")

ACME = """\
[tenants.acme]
dialect = "oauth2"
issuer = "https://acme.example"
"""


class Desk(NamedTuple):
    """A folder with a file, and the deployment beside it."""

    deployment: Deployment
    folder: Path
    environment: dict[str, str]

    def write(self, text: str) -> Path:
        file = self.folder / "file.toml"
        file.write_text(text, "utf-8")
        return file

    def administer(self, verb: Callable[[Administration], Awaitable[Result]], at: float | None = None) -> Result:
        """Run verbs; `at`: as if it were that moment."""

        async def run(administration: Administration) -> Result:
            clock = administration.clock if at is None else lambda: float(at)
            return await verb(msgspec.structs.replace(administration, clock=clock))

        return self.deployment.administer(run)

    def plan(self, text: str, *, prune: bool = False, at: float | None = None) -> Plan:
        """Make a plan and rehearse it."""

        async def run(administration: Administration) -> Plan:
            plan = await self.plan_of(administration, text, prune=prune)
            await rehearse(administration, plan)
            return plan

        return self.administer(run, at)

    def apply(self, text: str, *, prune: bool = False, at: float | None = None) -> list[MadeForClient]:
        async def run(administration: Administration) -> list[MadeForClient]:
            return await execute(administration, await self.plan_of(administration, text, prune=prune))

        return self.administer(run, at)

    async def plan_of(self, administration: Administration, text: str, *, prune: bool = False) -> Plan:
        declaration = read_declaration(self.write(text))
        return await make_plan(administration, declaration, References(self.folder, self.environment), prune=prune)

    def faults(self, text: str) -> list[str]:
        """Return what is wrong with a file, without its name."""
        try:
            self.plan(text)
        except DeclarationRefused as error:
            return [line.removeprefix(f"{self.folder}/file.toml:") for line in str(error).splitlines()]
        return []

    def export(self, tenant_id: str | None = None) -> str:
        async def run(administration: Administration) -> str:
            return "".join([piece async for piece in export_declaration(administration, tenant_id)])

        return self.administer(run)

    def dump(self) -> list[str]:
        """Return all that the database holds."""
        connection = sqlite3.connect(self.deployment.state_dir / "mintmark.db")
        try:
            return list(connection.iterdump())
        finally:
            connection.close()

    def rows(self, statement: str, *values: Any) -> list[Any]:
        connection = sqlite3.connect(self.deployment.state_dir / "mintmark.db")
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()


def describe(plan: Plan) -> list[str]:
    """Return the steps of a plan, one a line."""
    return [f"{step.act} {step.noun} {step.name}" for step in plan.steps]


def changes(plan: Plan) -> Mapping[str, Any]:
    """Return what changes of the one record of a plan."""
    [step] = plan.steps
    return {change.member: (change.before, change.after) for change in step.changes}
