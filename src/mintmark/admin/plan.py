"""A plan: the steps that bring a deployment to what a file says, and their execution in one transaction.

Every step calls the verbs that everybody calls, so it is they that permit, check and record. A rehearsal does all of
it and then lets go of it: what a plan would be refused for is known before anything is changed.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Literal, NamedTuple

import msgspec

from mintmark.admin.administration import Administration, AdministrationError, Outdated
from mintmark.admin.declaration import NEW_SITE_NEEDS, NEW_TENANT_NEEDS, Declaration, Fault
from mintmark.admin.declared_lines import Path
from mintmark.admin.declared_secrets import MadeForClient, written
from mintmark.protocol.errors import SettingsError
from mintmark.store.interface import Store

Call = Callable[[Administration, Mapping[str, Any]], Awaitable[Sequence[MadeForClient]]]
"""Given the members that a record is to have."""
Noun = Literal["tenant", "site", "client", "secret"]
Subject = tuple[str, str, str]
"""Noun, tenant id, and the client id or site id, or nothing."""


NEEDED = frozenset((*NEW_TENANT_NEEDS, *NEW_SITE_NEEDS))


class Change(NamedTuple):
    """One member of a record. Of a secret only whence it comes is ever among them."""

    member: str
    before: Any
    after: Any


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do."""

    act: Literal["create", "change", "delete"]
    noun: Noun
    name: str
    """Such as `acme`, or `acme/billing`."""
    path: Path
    """Where the file speaks of it."""
    changes: tuple[Change, ...] = ()
    call: Call | None = None
    """None: another step does it as well."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, what is wrong with it as far as is known, and what it was made from."""

    declaration: Declaration
    steps: tuple[Step, ...]
    faults: tuple[Fault, ...]
    unmade: frozenset[Path]
    """The records that cannot be created; of what belongs to them nothing can be told."""
    seen: Mapping[Subject, int]
    """The versions of the records that were looked at; 0: it was not there."""

    @property
    def deletes(self) -> bool:
        """Tell whether something that is there would not be there afterwards."""
        return any(step.act == "delete" for step in self.steps)


async def rehearse(administration: Administration, plan: Plan) -> None:
    """Find out whether a plan can be executed, and change nothing. Raises: as `execute`."""
    try:
        await _run(administration, plan, is_rehearsal=True)
    except _RehearsalOver:
        return


async def execute(administration: Administration, plan: Plan) -> list[MadeForClient]:
    """Execute a plan, all of it or nothing, and return the secrets that were made.

    Raises:
        DeclarationRefused: what is wrong, all of it, with the lines of the file.
        Outdated: a record is another than the one that the plan was made from.
        StoreUnavailable: the store is away, or the plan takes longer than others can wait.
    """
    return await _run(administration, plan, is_rehearsal=False)


class _RehearsalOver(Exception):
    """Undoes the transaction of a rehearsal."""


async def _run(administration: Administration, plan: Plan, *, is_rehearsal: bool) -> list[MadeForClient]:
    if not plan.steps and not plan.faults:
        return []
    # All records of one plan bear the same number in the audit log.
    actor = administration.actor
    actor = msgspec.structs.replace(actor, correlation_id=actor.correlation_id or str(uuid.uuid4()))
    with ExitStack() as files:
        async with administration.store.together() as store:
            inside = msgspec.structs.replace(administration, store=store, actor=actor)
            await _require_unchanged(store, plan.seen)
            made, faults = await _take_steps(inside, plan)
            if faults:
                raise plan.declaration.refuse(faults)
            if is_rehearsal:
                raise _RehearsalOver
            # Before the commit: a secret that holds must not be lost, a file of one that does not is taken away again.
            files.enter_context(written(made))
    return made


async def _take_steps(administration: Administration, plan: Plan) -> tuple[list[MadeForClient], list[Fault]]:
    made: list[MadeForClient] = []
    faults = list(plan.faults)
    unmade = set(plan.unmade)
    for step in plan.steps:
        if step.call is None or any(step.path[: len(path)] == path for path in unmade):
            continue
        told, wrong = await _take(administration, step, step.call)
        faults += wrong
        if told is not None:
            made += told
        elif step.act == "create":
            unmade.add(step.path)
    return made, faults


async def _take(
    administration: Administration, step: Step, call: Call
) -> tuple[Sequence[MadeForClient] | None, list[Fault]]:
    """Take a step, and return the secrets that it made, or None where it could not be taken.

    Where a member is wrong, it is tried again without that: there may be more that is wrong.
    """
    members = {change.member: change.after for change in step.changes}
    faults: list[Fault] = []
    while True:
        try:
            return await call(administration, members), faults
        except (AdministrationError, SettingsError) as error:
            key = "token_rules" if isinstance(error, SettingsError) else getattr(error, "key", "")
            path = (*step.path, key) if key in members else step.path
            faults += [Fault(path, text) for text in str(error).splitlines()]
            if key not in members or (key in NEEDED and step.act == "create"):
                return None, faults
            del members[key]


async def _require_unchanged(store: Store, seen: Mapping[Subject, int]) -> None:
    """Make sure that every record is the one that was looked at. Raises: Outdated."""
    for (noun, tenant_id, name), version in seen.items():
        if await _version_of(store, noun, tenant_id, name) != version:
            called = "/".join(filter(None, (tenant_id, name)))
            raise Outdated(f"somebody else changed {noun} {called} meanwhile; nothing was changed, make a new plan")


async def _version_of(store: Store, noun: str, tenant_id: str, name: str) -> int:
    found: Any
    if noun == "tenant":
        found = await store.tenants.find(tenant_id)
    elif noun == "client":
        found = await store.clients.find(tenant_id, name)
    else:
        found = await store.sites.find(tenant_id, name)
    return 0 if found is None else int(found.version)
