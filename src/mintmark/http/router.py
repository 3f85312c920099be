"""From host and path to tenant, dialect and endpoint: the one place that decides the tenant.

In this order:

1. the prefix `/t/{tenant}`, and for well-known documents the same after the well-known name;
2. the `Host` header, if that host's tenant has the path;
3. the tenant identifier that a message of the dialect carries (`omadacId`);
4. a path that only one tenant's dialect has;
5. the default tenant, if its dialect has the path.

The administrative tenant and the customers of an msp must be named, by one of the first three: every deployment has the
former, and an msp makes the latter. Neither takes a path that an other tenant's programs ask.

A suspended tenant keeps what is its own, and answers nothing there: were its host, prefix or path to fall to another
tenant, its clients would send their secrets to that one.

All tables are made when the tenants are loaded; a request costs a few dictionary look-ups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from mintmark.dialects.codec import Dialect
from mintmark.endpoints.route import Route, ServedTenant

METADATA: Final = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
RESOURCE_METADATA: Final = "/.well-known/oauth-protected-resource"
REGISTRATION: Final = "/register"
"""How the path of every dialect's registration endpoint ends."""
TENANT_PREFIX: Final = "/t/"
SUSPENDED: Final[Mapping[str, Route]] = {}
"""The routes of every suspended tenant."""


class Router:
    """The routes of a set of tenants."""

    def __init__(self, tenants: Iterable[ServedTenant]) -> None:
        known = list(tenants)
        served = [tenant for tenant in known if not tenant.record.is_suspended]
        self._by_id = {tenant.record.tenant_id: _tenant_routes(tenant) for tenant in served}
        self._dialects = {tenant.record.tenant_id: tenant.dialect for tenant in served}
        self._by_host = {
            host: self._by_id.get(tenant.record.tenant_id, SUSPENDED)
            for tenant in known
            for host in tenant.record.hosts
        }
        self._by_path = _shared_routes(known)
        self._prefixes = {
            tenant.dialect.definition.wire.path_prefix: tenant.dialect
            for tenant in served
            if tenant.dialect.definition.wire.path_prefix and not _must_be_named(tenant)
        }

    def find(self, host: str, path: str) -> Route | None:
        """Return the route, or None when there is nothing at this path. `host` is the Host header, lower case."""
        if path.startswith(TENANT_PREFIX):
            tenant_id, slash, rest = path.removeprefix(TENANT_PREFIX).partition("/")
            return self._by_id.get(tenant_id, {}).get(slash + rest) or self._find_below(host, path)
        own = self._routes_of_host(host)
        if own is not None and (route := own.get(path)) is not None:
            return route
        if own is not SUSPENDED and (route := self._by_path.get(path)) is not None:
            return route
        return self._find_inserted(path) or self._find_below(host, path)

    def owner_of_unknown_path(self, host: str, path: str) -> Dialect | None:
        """Return the dialect in which an unknown path is to be answered, if one claims it by its prefix."""
        if path.startswith(TENANT_PREFIX):
            tenant_id, slash, rest = path.removeprefix(TENANT_PREFIX).partition("/")
            dialect = self._dialects.get(tenant_id)
            prefix = dialect.definition.wire.path_prefix if dialect else ""
            return dialect if prefix and (slash + rest).startswith(prefix) else None
        if self._routes_of_host(host) is SUSPENDED:
            return None
        return next((dialect for prefix, dialect in self._prefixes.items() if path.startswith(prefix)), None)

    def _find_below(self, host: str, path: str) -> Route | None:
        """`/connect/register/ID`: what lies below the registration endpoint is its own. RFC: 7592 section 2."""
        parent, _, name = path.rpartition("/")
        above = parent.removesuffix(REGISTRATION)
        # Once, however often a path repeats the word.
        is_below = bool(name) and above != parent and not above.endswith(REGISTRATION)
        route = self.find(host, parent) if is_below else None
        return route if route is not None and route.endpoint == "registration" else None

    def _routes_of_host(self, host: str) -> Mapping[str, Route] | None:
        routes = self._by_host.get(host)
        return self._by_host.get(host.rpartition(":")[0]) if routes is None else routes

    def _find_inserted(self, path: str) -> Route | None:
        """`/.well-known/NAME/t/acme`: the issuer's path after the well-known name.

        RFC: 8414 section 3.1, RFC: 9728 section 3.1.
        """
        for name in (*METADATA, RESOURCE_METADATA):
            if path.startswith(name + TENANT_PREFIX):
                tenant_id, slash, rest = path[len(name + TENANT_PREFIX) :].partition("/")
                return self._by_id.get(tenant_id, {}).get(name + slash + rest)
        return None


def _tenant_routes(tenant: ServedTenant) -> Mapping[str, Route]:
    """All that one tenant has, by the path after its prefix."""
    identifier = tenant.record.identifier
    by_identifier = {identifier: tenant} if identifier is not None else {}
    routes = {
        path: Route(name, tenant.dialect, tenant, by_identifier) for name, path in tenant.dialect.endpoints.items()
    }
    return routes | {path: Route(name, tenant.dialect, tenant) for path, name in _well_known(tenant.dialect).items()}


def _well_known(dialect: Dialect) -> Mapping[str, str]:
    """The well-known documents of a tenant, by path, with the endpoint that answers."""
    documents = dict.fromkeys(METADATA, "metadata")
    if "check" in dialect.endpoints:
        documents[RESOURCE_METADATA + dialect.endpoints["check"]] = "resource_metadata"
    return documents


def _shared_routes(tenants: list[ServedTenant]) -> Mapping[str, Route]:
    """What a path means when neither prefix nor host names the tenant: orders 3, 4 and 5.

    A suspended tenant owns its paths as before, so that its suspension moves none to another tenant.
    """
    owners: dict[str, list[ServedTenant]] = {}
    for tenant in tenants:
        if _must_be_named(tenant):
            continue
        for path in (*tenant.dialect.endpoints.values(), *_well_known(tenant.dialect)):
            owners.setdefault(path, []).append(tenant)
    routes = {path: _shared_route(path, group, tenants) for path, group in owners.items()}
    return {path: route for path, route in routes.items() if route is not None}


def _must_be_named(tenant: ServedTenant) -> bool:
    record = tenant.record
    return (record.is_administrative or record.msp_id is not None) and not record.is_default


def _shared_route(path: str, owners: list[ServedTenant], tenants: list[ServedTenant]) -> Route | None:
    default = next((tenant for tenant in owners if tenant.record.is_default), None)
    chosen = owners[0] if len(owners) == 1 else default
    dialects = {tenant.dialect.name: tenant.dialect for tenant in owners}
    dialect = chosen.dialect if chosen else next(iter(dialects.values()))
    identified = {
        tenant.record.identifier: tenant
        for tenant in tenants
        if tenant.record.identifier is not None
        and not tenant.record.is_suspended
        and tenant.dialect.name == dialect.name
    }
    name = {own: name for name, own in dialect.endpoints.items()}.get(path) or _well_known(dialect)[path]
    if chosen is not None and not chosen.record.is_suspended:
        return Route(name, dialect, chosen, identified)
    # Only a token request carries an identifier; without one nothing else can name a tenant here.
    is_named = name == "token" and bool(identified) and (chosen is not None or len(dialects) == 1)
    return Route(name, dialect, None, identified) if is_named else None
