"""What every answer is wrapped in, and the closed list of codes. A code, not an HTTP status, tells how a call ended."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from mintmark.protocol.errors import MintmarkError
from mintmark.protocol.http import HttpResponse


class CodeRow(NamedTuple):
    """One row of the closed list."""

    number: int
    msg: str
    status: int = 200


CODES: Final[dict[str, CodeRow]] = {
    "success": CodeRow(0, "Success."),
    "general_error": CodeRow(-1, "General error.", 500),
    "unavailable": CodeRow(-1, "Service unavailable.", 503),
    "invalid_parameters": CodeRow(-1001, "Invalid request parameters."),
    "body_too_large": CodeRow(-1001, "Invalid request parameters.", 413),
    "invalid_type": CodeRow(-1004, "Invalid request type."),
    "operation_forbidden": CodeRow(-1005, "Operation forbidden"),
    "no_permission": CodeRow(-1007, "No permission."),
    "unknown_site": CodeRow(-1300, "Failed to get site information."),
    "site_out_of_reach": CodeRow(-1505, "The current user does not have permissions to access this site"),
    "unsupported_path": CodeRow(-1600, "Unsupported request path."),
    "interrupted": CodeRow(
        -1619, "Execution has been interrupted due to unsuccessful execution of the pre action request."
    ),
    "action_failed": CodeRow(-1620, "Error occurred while executing action."),
    "unknown_controller": CodeRow(-7131, "Controller ID not exist."),
    "too_many_requests": CodeRow(-7132, "Our server is receiving too many requests now. Please try again later.", 429),
    "unknown_role": CodeRow(-30102, "This role does not exist."),
    "site_name_taken": CodeRow(-33101, "This name already exists. Please enter another name for this site."),
    "customer_name_taken": CodeRow(-34706, "This name already exists. Please enter another name for this customer."),
    "customer_has_sites": CodeRow(-34707, "Need to delete all sites of this customer before deleting this customer."),
    "expired_token": CodeRow(
        -44112,
        "The access token has expired. Please re-initiate the refreshToken process to obtain the access token.",
    ),
    "invalid_token": CodeRow(-44113, "The Access Token is Invalid."),
    "no_token": CodeRow(
        -44116, "Open API Authorized failed, please check whether the input parameters are legal.", 401
    ),
    "unknown_application": CodeRow(-52602, "This Open API Application has expired or does not exist."),
}
"""Numbers and texts are the vendor's; docs/omada-api.md says where each is from, and when it is answered here."""


class Refusal(MintmarkError):
    """An answer of the closed list. `name`: one of CODES."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """Every answer, and every answer within a batch."""

    error_code: int
    msg: str
    result: Any = msgspec.UNSET
    """Left out where a call has none, as in the vendor's answers."""


def succeed(result: object = msgspec.UNSET) -> Envelope:
    """Wrap the result of a call that ended well."""
    row = CODES["success"]
    return Envelope(row.number, row.msg, result)


def refuse(name: str) -> Envelope:
    """Wrap a refusal."""
    row = CODES[name]
    return Envelope(row.number, row.msg)


def write_envelope(envelope: Envelope, status: int, correlation_id: str) -> HttpResponse:
    """Write an answer."""
    headers = (
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"x-correlation-id", correlation_id.encode()),
    )
    return HttpResponse(status, headers, msgspec.json.encode(envelope))
