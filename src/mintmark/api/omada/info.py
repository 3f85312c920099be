"""`GET /api/info`: what a controller tells everybody. Clients ask it first, to learn the id that all else names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from mintmark.api.omada.envelope import Refusal
from mintmark.store.records import TenantRecord

INFO_PATH: Final = "/api/info"
CONTROLLER_VERSION: Final = "6.0.0.36"
"""The vendor's release whose Open API this is; clients decide by it which calls there are."""
API_VERSION: Final = "3"
SOFTWARE: Final = 1
"""The `type` of a controller that is no appliance."""


def describe_controller(tenants: Iterable[TenantRecord], host: str) -> dict[str, Any]:
    """Return what is told of the controller at a host.

    Args:
        tenants: those that can be named, customers among them.
        host: the Host header, lower case.

    Raises: Refusal (`unsupported_path`): there is no controller.
    """
    tenant = choose_controller(tenants, host)
    return {
        "controllerVer": CONTROLLER_VERSION,
        "apiVer": API_VERSION,
        "configured": True,
        "type": SOFTWARE,
        "omadacId": tenant.identifier,
    }


def choose_controller(tenants: Iterable[TenantRecord], host: str) -> TenantRecord:
    """Return the controller that a host means: its own, else the default, else a plain one before an msp.

    Of several alike it is the oldest; a customer is none, unless the host is its own.

    Raises: Refusal (`unsupported_path`).
    """
    known = list(tenants)
    names = {host, host.rpartition(":")[0]}
    of_host = [one for one in known if names & set(one.hosts)]
    candidates = of_host or [one for one in known if one.msp_id is None]
    if not candidates:
        raise Refusal("unsupported_path")
    return min(candidates, key=lambda one: (not one.is_default, one.is_msp, one.created_at, one.tenant_id))
