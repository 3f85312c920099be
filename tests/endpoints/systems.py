"""The five demo tenants, and a token request to each as its system spells it: by hand, not by our own codec."""

from __future__ import annotations

import base64
import json
from typing import NamedTuple
from urllib.parse import urlencode

from tests.endpoints.servers import Request

FORM = "application/x-www-form-urlencoded"
OMADAC_ID = "de382a0e78f4deb681f3128c3e75dbd1"


class System(NamedTuple):
    """A demo tenant: where it is reached and who may ask."""

    tenant: str
    dialect: str
    host: str
    path: str
    client_id: str
    client_secret: str
    scope: str | None
    nobody: str
    """An id that is registered nowhere."""
    disabled: str
    """The id of a disabled client, whose secret is that of `client_secret`."""
    no_grant: str
    """The id of a client that may use no grant type, with the same secret."""


DEFAULT = System(
    "default",
    "oauth2",
    "127.0.0.1",
    "/oauth2/token",
    "demo",
    "demo-secret-not-for-production",
    "read write",
    "nobody",
    "disabled",
    "no-grant",
)
CIAM = System(
    "ciam",
    "ciam",
    "sample.portal.tencentciam.com",
    "/oauth2/token",
    "TENANT_CLIENT_ID",
    "TENANT_CLIENT_SECRET",
    "identity_proofing",
    "nobody",
    "disabled",
    "no-grant",
)
WSO2 = System(
    "wso2",
    "wso2",
    "localhost:9443",
    "/oauth2/token",
    "wso2-demo",
    "wso2-demo-secret",
    None,
    "nobody",
    "disabled",
    "no-grant",
)
ONEACCESS = System(
    "oneaccess",
    "oneaccess",
    "127.0.0.1",
    "/api/v2/tenant/token",
    "ONtQq2igSggfFClyGgzmuXR8ubWEPdemo",
    "XdqUmJpG19hNEHz3472XsPcwvfedemo",
    "all",
    "nobody",
    "disabled",
    "no-grant",
)
OMADA = System(
    "omada",
    "omada",
    "127.0.0.1",
    "/openapi/authorize/token",
    "185586e0df424f5ea938de13cba91e01",
    "767372a5258a4fc1a03c57f3d071fc35",
    None,
    "f" * 32,
    "d" * 32,
    "e" * 32,
)
SYSTEMS = (DEFAULT, CIAM, WSO2, ONEACCESS, OMADA)


def basic(client_id: str, client_secret: str, scheme: str = "Basic") -> str:
    """An Authorization header of these halves as they are."""
    return f"{scheme} {base64.b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"


def form(fields: dict[str, str] | list[tuple[str, str]], target: str = "/oauth2/token", **headers: str) -> Request:
    """A POST of form parameters. Header names are written with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", target, {"content-type": FORM, **named}, urlencode(fields).encode())


def ask(
    system: System,
    *,
    client_id: str | None = None,
    client_secret: str | None = None,
    grant_type: str | None = "client_credentials",
    scope: str | None = None,
) -> Request:
    """A token request of the demo client, or of another, with its credentials in the body."""
    fields = {"client_id": client_id or system.client_id, "client_secret": client_secret or system.client_secret}
    fields |= {} if scope is None else {"scope": scope}
    if system.dialect == "omada":
        query = "" if grant_type is None else f"?grant_type={grant_type}"
        return omada({"omadacId": OMADAC_ID, **fields}, query)
    fields |= {} if grant_type is None else {"grant_type": grant_type}
    return form(fields, system.path, host=system.host)


def omada(members: object, query: str = "?grant_type=client_credentials", path: str = OMADA.path) -> Request:
    """A POST of JSON as the Omada Open API takes it; octets are sent as they are."""
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    return Request("POST", path + query, {"content-type": "application/json", "host": "127.0.0.1"}, body)
