"""The difference between what a declarative file says and what is there, as a plan.

What the file does not name stays as it is: a member, and a record too, unless the file or the caller wants it pruned.
A tenant is never deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from mintmark.admin.administration import Administration, Missing
from mintmark.admin.clients import list_clients, require_client
from mintmark.admin.declaration import (
    NEW_SITE_NEEDS,
    NEW_TENANT_NEEDS,
    PRUNABLE,
    Declaration,
    DeclaredClient,
    DeclaredSite,
    DeclaredTenant,
    Fault,
)
from mintmark.admin.declared_lines import Path
from mintmark.admin.declared_secrets import References
from mintmark.admin.plan import Call, Change, Noun, Plan, Step, Subject
from mintmark.admin.planned_acts import (
    MAX_SITES,
    SECRETS,
    alter_client,
    alter_site,
    alter_tenant,
    drop_client,
    drop_site,
    make_client,
    make_site,
    make_tenant,
)
from mintmark.admin.secret_planning import SecretPlanner
from mintmark.admin.sites import list_sites
from mintmark.admin.tenants import show_tenant
from mintmark.authentication.client_secret import SecretVerifier
from mintmark.store.records import ClientRecord, SiteRecord, TenantRecord

FIXED: Final = ("dialect", "identifier", "is_administrative", "site_type")
"""Members that no verb changes."""
CLIENTS_A_PAGE: Final = 1000


async def make_plan(
    administration: Administration, declaration: Declaration, references: References, *, prune: bool = False
) -> Plan:
    """Compare a file with the deployment.

    Args:
        prune: delete clients, secrets and sites of the file's tenants that it does not name, as where it says so.

    Raises: AdministrationError, StoreUnavailable.
    """
    verifier = SecretVerifier(administration.keyed_hash)
    planner = _Planner(administration, SecretPlanner(administration, references, verifier), prunes_all=prune)
    try:
        for tenant in declaration.tenants:
            await planner.plan_tenant(tenant)
    finally:
        verifier.close()
    return Plan(
        declaration=declaration,
        steps=tuple(sorted(planner.steps, key=_rank)),
        faults=tuple(planner.faults),
        unmade=frozenset(planner.unmade),
        seen=planner.seen,
    )


def _rank(step: Step) -> int:
    """Return the place of a step: what others stand on comes first, and what makes room."""
    if step.noun == "tenant":
        # A customer comes after its msp, and who becomes the default after who was it.
        after = {change.member: change.after for change in step.changes}
        return 2 if after.get("is_default") or after.get("msp_id") else 1
    if step.act == "delete":
        return {"client": 0, "site": 3}.get(step.noun, 5)
    return 4 if step.noun == "site" else 5


class _Planner:
    """Gathers the steps of a plan, and what is wrong with it."""

    def __init__(self, administration: Administration, secrets: SecretPlanner, *, prunes_all: bool) -> None:
        self.steps: list[Step] = []
        self.faults: list[Fault] = []
        self.unmade: set[Path] = set()
        self.seen: dict[Subject, int] = {}
        self._administration = administration
        self._secrets = secrets
        self._prunes_all = prunes_all

    async def plan_tenant(self, tenant: DeclaredTenant) -> None:
        """Plan a tenant and what is its own."""
        found = await self._find_tenant(tenant.tenant_id)
        self._saw("tenant", found, tenant.tenant_id)
        if found is None:
            self._require(tenant.path, tenant.members, NEW_TENANT_NEEDS, "tenant")
            call = partial(make_tenant, tenant_id=tenant.tenant_id)
            self._create("tenant", tenant.tenant_id, tenant.path, tenant.members, call)
        else:
            changed = self._difference(tenant.path, _members_of(found), tenant.members)
            call = partial(alter_tenant, tenant_id=tenant.tenant_id)
            self._change("tenant", tenant.tenant_id, tenant.path, changed, call)
        prunes = PRUNABLE if self._prunes_all else tenant.prune
        sites = await self._sites_of(tenant, found)
        self._plan_sites(tenant, sites, prunes=found is not None and "sites" in prunes)
        names = {site.site_id: site.name for site in sites.values()}
        for client in tenant.clients:
            await self._plan_client(tenant, client, found, names)
        if found is not None and "clients" in prunes:
            await self._prune_clients(tenant)

    async def _find_tenant(self, tenant_id: str) -> TenantRecord | None:
        try:
            return await show_tenant(self._administration, tenant_id)
        except Missing:
            return None

    def _plan_sites(self, tenant: DeclaredTenant, there: Mapping[str, SiteRecord], *, prunes: bool) -> None:
        for site in tenant.sites:
            self._plan_site(tenant.tenant_id, site, there.get(site.name))
        named = {site.name for site in tenant.sites}
        for name, found in there.items():
            if prunes and name not in named:
                self._saw("site", found, tenant.tenant_id, found.site_id)
                call = partial(drop_site, tenant_id=tenant.tenant_id, site_id=found.site_id)
                self._delete("site", f"{tenant.tenant_id}/{name}", (*tenant.path, "sites", name), call)

    def _plan_site(self, tenant_id: str, site: DeclaredSite, found: SiteRecord | None) -> None:
        name = f"{tenant_id}/{site.name}"
        if found is None:
            self._require(site.path, site.members, NEW_SITE_NEEDS, "site")
            call = partial(make_site, tenant_id=tenant_id, name=site.name)
            self._create("site", name, site.path, site.members, call)
            return
        self._saw("site", found, tenant_id, found.site_id)
        there = _members_of(found)
        # Details are changed one by one.
        there["details"] = {key: found.details.get(key) for key in site.members.get("details", {})}
        changed = self._difference(site.path, there, site.members)
        call = partial(alter_site, tenant_id=tenant_id, site_id=found.site_id)
        self._change("site", name, site.path, changed, call)

    async def _plan_client(
        self, tenant: DeclaredTenant, client: DeclaredClient, above: TenantRecord | None, names: Mapping[str, str]
    ) -> None:
        found = await self._find_client(tenant, client.client_id) if above else None
        self._saw("client", found, tenant.tenant_id, client.client_id)
        name = f"{tenant.tenant_id}/{client.client_id}"
        if found is None:
            wanted, faults = self._secrets.of_new_client(client)
            self.faults += faults
            call = partial(make_client, tenant_id=tenant.tenant_id, client_id=client.client_id, wanted=wanted)
            shown = {**client.members, SECRETS: [one.described for one in wanted]}
            self._create("client", name, client.path, shown, call)
            return
        there = {**_members_of(found), "sites": tuple(names[one] for one in found.sites if one in names)}
        changed = self._difference(client.path, there, client.members)
        change = partial(alter_client, tenant_id=tenant.tenant_id, client_id=client.client_id)
        self._change("client", name, client.path, changed, change)
        steps, faults = await self._secrets.of_client(
            found, client, prunes=self._prunes_all or "secrets" in tenant.prune
        )
        self.steps += steps
        self.faults += faults

    async def _find_client(self, tenant: DeclaredTenant, client_id: str) -> ClientRecord | None:
        try:
            return await require_client(self._administration, tenant.tenant_id, client_id)
        except Missing:
            return None

    async def _sites_of(self, tenant: DeclaredTenant, found: TenantRecord | None) -> dict[str, SiteRecord]:
        """Return the tenant's sites by name."""
        if found is None:
            return {}
        _, sites = await list_sites(self._administration, tenant.tenant_id, offset=0, limit=MAX_SITES)
        return {site.name: site for site in sites}

    async def _prune_clients(self, tenant: DeclaredTenant) -> None:
        named = {client.client_id for client in tenant.clients}
        after = ""
        while page := await list_clients(self._administration, tenant.tenant_id, after=after, limit=CLIENTS_A_PAGE):
            after = page[-1].client_id
            for found in page:
                if found.client_id not in named:
                    self._saw("client", found, tenant.tenant_id, found.client_id)
                    call = partial(drop_client, tenant_id=tenant.tenant_id, client_id=found.client_id)
                    path = (*tenant.path, "clients", found.client_id)
                    self._delete("client", f"{tenant.tenant_id}/{found.client_id}", path, call)

    def _saw(
        self, noun: str, found: TenantRecord | ClientRecord | SiteRecord | None, tenant_id: str, name: str = ""
    ) -> None:
        self.seen[noun, tenant_id, name] = 0 if found is None else found.version

    def _require(self, path: Path, members: Mapping[str, Any], needed: Sequence[str], noun: str) -> None:
        missing = [name for name in needed if name not in members]
        self.faults += [Fault(path, f"a new {noun} needs {name}") for name in missing]
        self.unmade |= {path} if missing else set()

    def _difference(self, path: Path, there: Mapping[str, Any], members: Mapping[str, Any]) -> tuple[Change, ...]:
        changes = [
            Change(name, there[name], after) for name, after in members.items() if _plain(there[name]) != _plain(after)
        ]
        for change in (one for one in changes if one.member in FIXED):
            text = f"{change.member}: is {change.before!r} and cannot be changed"
            self.faults.append(Fault((*path, change.member), text))
        return tuple(change for change in changes if change.member not in FIXED)

    def _create(self, noun: Noun, name: str, path: Path, members: Mapping[str, Any], call: Call) -> None:
        changes = tuple(Change(member, None, after) for member, after in members.items())
        self.steps.append(Step(act="create", noun=noun, name=name, path=path, changes=changes, call=call))

    def _change(self, noun: Noun, name: str, path: Path, changes: tuple[Change, ...], call: Call) -> None:
        if changes:
            self.steps.append(Step(act="change", noun=noun, name=name, path=path, changes=changes, call=call))

    def _delete(self, noun: Noun, name: str, path: Path, call: Call) -> None:
        self.steps.append(Step(act="delete", noun=noun, name=name, path=path, call=call))


def _members_of(record: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(record)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: what is read from TOML and from the store are then alike."""
    return msgspec.to_builtins(value)
