"""The calls on sites: the vendor's members, read and written. What is not managed here is kept and given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from mintmark.admin.administration import AdministrationError, Missing, Taken
from mintmark.admin.sites import (
    MAX_NAME_LENGTH,
    SiteChanges,
    SiteRequest,
    change_sites,
    copy_site,
    create_sites,
    import_sites,
    list_sites,
    remove_sites,
    require_site,
)
from mintmark.api.omada.operation import Call, Operation, alone, by_name
from mintmark.api.omada.paging import make_grid
from mintmark.store.records import SiteRecord

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Text = Annotated[str, Meta(max_length=1024)]
MAX_NEW_SITES: Final = 300
"""Sites that one call copies or imports, as the vendor has it."""
DETAILS: Final = (
    "longitude",
    "latitude",
    "address",
    "tagIds",
    "supportES",
    "supportL2",
    "ntpEnable",
    "ntpServers",
    "dst",
)
"""The vendor's further members that are kept. `deviceAccountSetting` holds a password and is read by nobody here."""
SHOWN_OF_ONE: Final = frozenset({"ntpEnable", "ntpServers", "dst"})
"""Those of DETAILS that a list leaves out."""


class NtpServer(msgspec.Struct, frozen=True):
    """How a change writes a time server; a site that is shown, and so one that is imported, has its address alone."""

    address: Text


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """The vendor's further members."""

    longitude: Annotated[float, Meta(ge=-180, le=180)] | UnsetType = UNSET
    latitude: Annotated[float, Meta(ge=-90, le=90)] | UnsetType = UNSET
    address: Text | UnsetType = UNSET
    tag_ids: Annotated[tuple[Name, ...], Meta(max_length=100)] | UnsetType = field(default=UNSET, name="tagIds")
    support_es: bool | UnsetType = field(default=UNSET, name="supportES")
    support_l2: bool | UnsetType = field(default=UNSET, name="supportL2")
    ntp_enable: bool | UnsetType = field(default=UNSET, name="ntpEnable")
    ntp_servers: Annotated[tuple[NtpServer | Text, ...], Meta(max_length=5)] | UnsetType = field(
        default=UNSET, name="ntpServers"
    )
    dst: dict[str, Any] | UnsetType = UNSET

    def kept(self) -> dict[str, Any]:
        """Return the further members that were given, under the vendor's names."""
        given = {name: value for name, value in msgspec.to_builtins(self).items() if name in DETAILS}
        if "ntpServers" in given:
            given["ntpServers"] = [one if isinstance(one, str) else one["address"] for one in given["ntpServers"]]
        return given


class NewSite(Details, frozen=True, kw_only=True):
    """A site to make."""

    name: Name
    region: Name
    time_zone: Name = field(name="timeZone")
    scenario: Name
    type: Annotated[int, Meta(ge=0, le=1)] = 0
    """0: a basic site, 1: a pro site."""

    def request(self) -> SiteRequest:
        """Return it as the verbs take it."""
        return SiteRequest(
            name=self.name,
            region=self.region,
            time_zone=self.time_zone,
            scenario=self.scenario,
            site_type=self.type,
            details=self.kept(),
        )


class ChangedSite(Details, frozen=True, kw_only=True):
    """A site as it is to be; members that may be left out stay as they are."""

    name: Name | None = None
    region: Name
    time_zone: Name = field(name="timeZone")
    scenario: Name

    def changes(self) -> SiteChanges:
        """Return it as the verbs take it."""
        return SiteChanges(
            name=self.name,
            region=self.region,
            time_zone=self.time_zone,
            scenario=self.scenario,
            details=self.kept(),
        )


class SiteCopy(msgspec.Struct, frozen=True, rename="camel"):
    """Sites to make like one that is there, named by a prefix and a number from 1."""

    source_site_id: str
    site_name_prefix: Name
    target_site_num: Annotated[int, Meta(ge=1, le=MAX_NEW_SITES)]


class ImportedSite(msgspec.Struct, frozen=True, rename="camel"):
    """A site to import: its new name, and the site as a controller shows it."""

    site_name: Name
    site_config: NewSite


class SiteImport(msgspec.Struct, frozen=True, rename="camel"):
    """Sites to import. A file server that is named beside is not asked: no request makes this server connect."""

    site_import_config_list: Annotated[tuple[ImportedSite, ...], Meta(min_length=1, max_length=MAX_NEW_SITES)]


async def list_call(call: Call) -> object:
    """Answer a grid of sites."""
    page = call.page
    total, sites = await list_sites(
        call.administration,
        call.tenant_id,
        containing=call.query.get("searchKey", ""),
        offset=page.offset,
        limit=page.size,
    )
    return make_grid(page, total, [show_site(site, SHOWN_OF_ONE) for site in sites])


async def get_call(call: Call) -> object:
    """Answer one site."""
    return show_site(await require_site(call.administration, call.tenant_id, call.path["siteId"]))


async def create_many(calls: Sequence[Call]) -> Sequence[object]:
    """Make sites, all or none."""
    requests = [call.body.request() for call in calls]
    made = await create_sites(calls[0].administration, calls[0].tenant_id, requests)
    return [{"siteId": site.site_id} for site in made]


async def change_many(calls: Sequence[Call]) -> Sequence[object]:
    """Change sites, all or none."""
    changes = {site_id: call.body.changes() for site_id, call in by_name(calls, "siteId").items()}
    await change_sites(calls[0].administration, calls[0].tenant_id, changes)
    return [UNSET] * len(calls)


async def remove_many(calls: Sequence[Call]) -> Sequence[object]:
    """Remove sites, all or none."""
    await remove_sites(calls[0].administration, calls[0].tenant_id, by_name(calls, "siteId"))
    return [UNSET] * len(calls)


async def copy_call(call: Call) -> object:
    """Make sites like one that is there."""
    body: SiteCopy = call.body
    names = [f"{body.site_name_prefix}{number}" for number in range(1, body.target_site_num + 1)]
    made = await copy_site(call.administration, call.tenant_id, body.source_site_id, names=names)
    return {"successSiteList": [site.site_id for site in made]}


async def import_call(call: Call) -> object:
    """Make sites that were exported elsewhere."""
    body: SiteImport = call.body
    requests = [
        msgspec.structs.replace(one.site_config.request(), name=one.site_name) for one in body.site_import_config_list
    ]
    made = await import_sites(call.administration, call.tenant_id, requests)
    return {"successSiteList": [site.site_id for site in made]}


def show_site(site: SiteRecord, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a site as the vendor shows it."""
    return {
        "siteId": site.site_id,
        "name": site.name,
        "region": site.region,
        "timeZone": site.time_zone,
        "scenario": site.scenario,
        "type": site.site_type,
        **{name: value for name, value in site.details.items() if name not in without},
    }


TOLD: Final[dict[type[AdministrationError], str]] = {Missing: "unknown_site", Taken: "site_name_taken"}

SITE_OPERATIONS: Final = (
    *(
        Operation(family="controller", method=method, path=path, call=call, takes=takes, told=TOLD)
        for method, path, call, takes in (
            ("GET", "/sites", list_call, None),
            ("POST", "/sites/copy", copy_call, SiteCopy),
            ("POST", "/sites/multi-import", import_call, SiteImport),
            ("GET", "/sites/{siteId}", get_call, None),
        )
    ),
    *(
        Operation(
            family="controller", method=method, path=path, call=alone(many), call_many=many, takes=takes, told=TOLD
        )
        for method, path, many, takes in (
            ("POST", "/sites", create_many, NewSite),
            ("PUT", "/sites/{siteId}", change_many, ChangedSite),
            ("DELETE", "/sites/{siteId}", remove_many, None),
        )
    ),
)
