"""Choosing among the credentials of one request, and the secrets that are live."""

from __future__ import annotations

import pytest

from mintmark.authentication.authenticate import live_secrets, select_credentials
from mintmark.authentication.clients import is_client_id
from mintmark.protocol.errors import InvalidClient, InvalidRequest
from mintmark.protocol.messages import ClientAuthenticationMethod, ClientCredentials
from mintmark.protocol.secret import Secret
from mintmark.store.records import ClientRecord, SecretRecord


def seen(method: ClientAuthenticationMethod, client_id: str, secret: str | None = "s") -> ClientCredentials:
    return ClientCredentials(method, client_id, Secret(secret) if secret else None)


HEADER = seen("client_secret_basic", "a")
BODY = seen("client_secret_post", "a")
BARE = seen("none", "a", None)


@pytest.mark.rfc("6749", "3.2.1")
@pytest.mark.parametrize("credentials", [(HEADER,), (BODY,), (HEADER, BARE), (BARE, BODY)])
def test_one_credential_is_chosen_beside_its_own_bare_id(credentials: tuple[ClientCredentials, ...]):
    assert any(select_credentials(credentials) is one for one in (HEADER, BODY))


@pytest.mark.rfc("6749", "2.3")
@pytest.mark.parametrize(
    "credentials",
    [
        (HEADER, BODY),
        (BODY, BODY),
        (HEADER, seen("none", "b", None)),
        (HEADER, seen("client_secret_post", "")),
        (HEADER, seen("client_secret_post", "b")),
    ],
)
def test_more_than_one_is_an_invalid_request(credentials: tuple[ClientCredentials, ...]):
    with pytest.raises(InvalidRequest) as raised:
        select_credentials(credentials)
    assert raised.value.reason == "two_credentials"


@pytest.mark.rfc("6749", "2.3.1")
@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        ((), "missing_credentials"),
        ((BARE,), "missing_secret"),
        ((seen("client_secret_post", ""),), "missing_credentials"),
        ((seen("client_secret_basic", "a", None),), "missing_secret"),
    ],
)
def test_half_a_credential_is_none(credentials: tuple[ClientCredentials, ...], reason: str):
    with pytest.raises(InvalidClient) as raised:
        select_credentials(credentials)
    assert raised.value.reason == reason


def test_a_secret_dies_at_its_second():
    def secret(expires_at: int | None) -> SecretRecord:
        return SecretRecord(
            secret_id=str(expires_at), tenant_id="t", client_id="c", kind="argon2id", hash="", expires_at=expires_at
        )

    client = ClientRecord(tenant_id="t", client_id="c", secrets=(secret(None), secret(100), secret(101)))

    assert [one.secret_id for one in live_secrets(client, 100)] == ["None", "101"]
    assert live_secrets(None, 100) == ()


@pytest.mark.rfc("6749", "A.1")
@pytest.mark.parametrize(
    ("text", "verdict"),
    [("a", True), ("a b~", True), ("x" * 255, True), ("", False), ("x" * 256, False), ("\n", False), ("\u00e9", False)],
)
def test_a_client_id_is_visible_ascii_of_bounded_length(text: str, verdict: bool):
    assert is_client_id(text) is verdict
