"""The difference between what a declarative file says and what is there, as a plan.

What the file does not name stays as it is: a member, and a record too, unless the file or the caller wants it pruned.
A tenant is never deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final

import msgspec

from mintmark.admin.administration import Administration, Malformed, Missing
from mintmark.admin.applications import check_application
from mintmark.admin.clients import (
    ClientChanges,
    ClientRequest,
    change_client,
    disable_client,
    list_clients,
    register_client,
    remove_client,
    require_client,
)
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
from mintmark.admin.declared_secrets import MadeForClient, References
from mintmark.admin.plan import Call, Change, Noun, Plan, Step, Subject
from mintmark.admin.secret_planning import SecretPlanner, Wanted, give_wanted
from mintmark.admin.sites import SiteChanges, SiteRequest, change_sites, create_site, list_sites, remove_sites
from mintmark.admin.tenants import (
    TenantChanges,
    TenantRequest,
    change_tenant,
    create_tenant,
    show_tenant,
    suspend_tenant,
)
from mintmark.authentication.client_secret import SecretVerifier
from mintmark.store.records import ClientRecord, SiteRecord, TenantRecord

FIXED: Final = ("dialect", "identifier", "is_administrative", "site_type")
"""Members that no verb changes."""
PRIVILEGES: Final = frozenset({"role", "all_sites", "sites", "all_customers", "customers"})
SECRETS: Final = "secrets"
"""The member of a new client's step that tells whence its secrets come."""
MAX_SITES: Final = 1_000_000
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
    """What others stand on comes first, and what makes room."""
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
            call = partial(_create_tenant, tenant_id=tenant.tenant_id)
            self._create("tenant", tenant.tenant_id, tenant.path, tenant.members, call)
        else:
            changed = self._difference(tenant.path, _members_of(found), tenant.members)
            call = partial(_change_tenant, tenant_id=tenant.tenant_id)
            self._change("tenant", tenant.tenant_id, tenant.path, changed, call)
        prunes = PRUNABLE if self._prunes_all else tenant.prune
        sites = await self._sites_of(tenant, found)
        self._plan_sites(tenant, sites, prunes=found is not None and "sites" in prunes)
        for client in tenant.clients:
            await self._plan_client(tenant, client, found, {site.site_id: site.name for site in sites.values()})
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
                call = partial(_remove_site, tenant_id=tenant.tenant_id, site_id=found.site_id)
                self._delete("site", f"{tenant.tenant_id}/{name}", (*tenant.path, "sites", name), call)

    def _plan_site(self, tenant_id: str, site: DeclaredSite, found: SiteRecord | None) -> None:
        name = f"{tenant_id}/{site.name}"
        if found is None:
            self._require(site.path, site.members, NEW_SITE_NEEDS, "site")
            call = partial(_create_site, tenant_id=tenant_id, name=site.name)
            self._create("site", name, site.path, site.members, call)
            return
        self._saw("site", found, tenant_id, found.site_id)
        there = _members_of(found)
        # Details are changed one by one.
        there["details"] = {key: found.details.get(key) for key in site.members.get("details", {})}
        changed = self._difference(site.path, there, site.members)
        call = partial(_change_site, tenant_id=tenant_id, site_id=found.site_id)
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
            call = partial(_register_client, tenant_id=tenant.tenant_id, client_id=client.client_id, wanted=wanted)
            shown = {**client.members, SECRETS: [one.described for one in wanted]}
            self._create("client", name, client.path, shown, call)
            return
        there = {**_members_of(found), "sites": tuple(names[one] for one in found.sites if one in names)}
        changed = self._difference(client.path, there, client.members)
        change = partial(_change_client, tenant_id=tenant.tenant_id, client_id=client.client_id)
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
                    call = partial(_remove_client, tenant_id=tenant.tenant_id, client_id=found.client_id)
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


async def _create_tenant(
    administration: Administration, members: Mapping[str, Any], *, tenant_id: str
) -> list[MadeForClient]:
    given = dict(members)
    is_suspended = given.pop("is_suspended", False)
    await create_tenant(administration, TenantRequest(tenant_id=tenant_id, **given))
    if is_suspended:
        await suspend_tenant(administration, tenant_id, suspended=True)
    return []


async def _change_tenant(
    administration: Administration, members: Mapping[str, Any], *, tenant_id: str
) -> list[MadeForClient]:
    await change_tenant(administration, tenant_id, TenantChanges(**members))
    return []


async def _create_site(
    administration: Administration, members: Mapping[str, Any], *, tenant_id: str, name: str
) -> list[MadeForClient]:
    await create_site(administration, tenant_id, SiteRequest(name=name, **members))
    return []


async def _change_site(
    administration: Administration, members: Mapping[str, Any], *, tenant_id: str, site_id: str
) -> list[MadeForClient]:
    await change_sites(administration, tenant_id, {site_id: SiteChanges(**members)})
    return []


async def _remove_site(
    administration: Administration, _: Mapping[str, Any], *, tenant_id: str, site_id: str
) -> list[MadeForClient]:
    await remove_sites(administration, tenant_id, [site_id])
    return []


async def _register_client(
    administration: Administration,
    members: Mapping[str, Any],
    *,
    tenant_id: str,
    client_id: str,
    wanted: Sequence[Wanted],
) -> list[MadeForClient]:
    given = await _with_site_ids(administration, tenant_id, members)
    is_disabled = given.pop("is_disabled", False)
    del given[SECRETS]
    first, *others = wanted
    request = ClientRequest(
        tenant_id=tenant_id,
        client_id=client_id,
        client_secret=first.client_secret,
        secret_label=first.secret.label,
        secret_expires_at=first.secret.expires_at,
        **given,
    )
    made = await register_client(administration, request)
    if PRIVILEGES & set(given):
        await check_application(administration, made.client)
    told = [first.tell(made.client, made.client_secret)]
    told += [await give_wanted(administration, made.client, one) for one in others]
    if is_disabled:
        await disable_client(administration, tenant_id, client_id, disabled=True)
    return list(chain.from_iterable(told))


async def _change_client(
    administration: Administration, members: Mapping[str, Any], *, tenant_id: str, client_id: str
) -> list[MadeForClient]:
    given = await _with_site_ids(administration, tenant_id, members)
    is_disabled = given.pop("is_disabled", None)
    if given:
        client = await change_client(administration, tenant_id, client_id, ClientChanges(**given))
        if PRIVILEGES & set(given):
            await check_application(administration, client)
    if is_disabled is not None:
        await disable_client(administration, tenant_id, client_id, disabled=is_disabled)
    return []


async def _remove_client(
    administration: Administration, _: Mapping[str, Any], *, tenant_id: str, client_id: str
) -> list[MadeForClient]:
    await remove_client(administration, tenant_id, client_id)
    return []


async def _with_site_ids(administration: Administration, tenant_id: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return a client's members with the ids of the sites that the file names. Raises: Malformed."""
    given = dict(members)
    if "sites" in given:
        given["sites"] = tuple([await _site_id(administration, tenant_id, name) for name in given["sites"]])
    return given


async def _site_id(administration: Administration, tenant_id: str, name: str) -> str:
    _, sites = await list_sites(administration, tenant_id, containing=name, offset=0, limit=MAX_SITES)
    found = next((site.site_id for site in sites if site.name == name), None)
    if found is None:
        raise Malformed(f"sites: there is no site {name!r}", "sites")
    return found
