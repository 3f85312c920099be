"""The calls on roles: a fixed list, shown with the members that the vendor's roles have."""

from __future__ import annotations

from typing import Any, Final

from mintmark.admin.permissions import Permission
from mintmark.admin.roles import NoSuchRole, Role, list_roles, require_role
from mintmark.api.omada.operation import Call, Family, Operation

VIEW: Final = 1
MODIFY: Final = 2

PRIVILEGES: Final[dict[Family, dict[str, Permission]]] = {
    "controller": {"globalDashboard": "sites:write", "globalSetting": "clients:write"},
    "msp": {"mspDashboard": "tenants:write", "mspSites": "sites:write", "mspSetting": "clients:write"},
}
"""The vendor's privileges that mean something here, and what a role permits that may modify there: sites stand under
the dashboard, customers under the msp's, applications under the settings."""
TYPES: Final[dict[Family, int]] = {"controller": 0, "msp": 2}


async def list_call(call: Call) -> object:
    """Answer all roles; the vendor does not page them."""
    return [show_role(role, call) for role in list_roles(call.administration, call.tenant_id)]


async def get_call(call: Call) -> object:
    """Answer one role."""
    return show_role(require_role(call.administration, call.tenant_id, call.path["roleId"]), call)


def show_role(role: Role, call: Call) -> dict[str, Any]:
    """Return a role as the vendor shows it."""
    family: Family = "msp" if call.tenant.is_msp else "controller"
    privilege = {name: MODIFY if wanted in role.permissions else VIEW for name, wanted in PRIVILEGES[family].items()}
    return {
        "id": role.role_id,
        "name": role.name,
        "type": TYPES[family],
        "defaultRole": True,
        "source": 0,
        "privilege": privilege,
    }


ROLE_OPERATIONS: Final = tuple(
    Operation(family=family, method="GET", path=path, call=call, told={NoSuchRole: "unknown_role"})
    for family in PRIVILEGES
    for path, call in (("/roles", list_call), ("/roles/{roleId}", get_call))
)
