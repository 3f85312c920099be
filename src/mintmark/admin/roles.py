"""The roles that an application of an Omada tenant can have. They are fixed: what each may do is in its row."""

from __future__ import annotations

from typing import Final, NamedTuple

from mintmark.admin.administration import Administration, Malformed
from mintmark.admin.permissions import Permission

READING: Final[frozenset[Permission]] = frozenset({"sites:read", "clients:read", "tenants:read"})


class Role(NamedTuple):
    """One row."""

    role_id: str
    name: str
    permissions: frozenset[Permission]


ROLES: Final = (
    Role("super_admin_id", "Super Administrator", READING | {"sites:write", "clients:write", "tenants:write"}),
    Role("admin_id", "Administrator", READING | {"sites:write"}),
    Role("viewer_id", "Viewer", READING),
)
_BY_ID: Final = {role.role_id: role for role in ROLES}


def permissions_of(role_id: str) -> frozenset[Permission]:
    """Return what a role permits; an application without a role, or with an unknown one, may do nothing."""
    role = _BY_ID.get(role_id)
    return role.permissions if role else frozenset()


def list_roles(administration: Administration, tenant_id: str) -> tuple[Role, ...]:
    """Return the roles of a tenant's applications. Raises: AdministrationError."""
    administration.permit("clients:read", tenant_id)
    return ROLES


def require_role(administration: Administration, tenant_id: str, role_id: str) -> Role:
    """Return a role. Raises: AdministrationError."""
    administration.permit("clients:read", tenant_id)
    return find_role(role_id)


def find_role(role_id: str) -> Role:
    """Return a role. Raises: NoSuchRole."""
    role = _BY_ID.get(role_id)
    if role is None:
        raise NoSuchRole(f"role: there is no {role_id!r}; the roles are: {', '.join(_BY_ID)}", "role")
    return role


class NoSuchRole(Malformed):
    """There is no such role."""
