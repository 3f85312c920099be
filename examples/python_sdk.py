"""Tokens by the SDK: asked for once, kept until shortly before they expire, in whatever dialect the server speaks.

Start the demo first (`mintmark serve --demo`), then: python examples/python_sdk.py
"""

import httpx

from mintmark.sdk import ClientCredentialsRequest, OAuthError, Secret, TokenAuth, TokenClient

SERVER = "http://127.0.0.1:8080"


def ask_by_the_standard() -> None:
    request = ClientCredentialsRequest("demo", Secret("demo-secret-not-for-production"), scope="read")
    with TokenClient(SERVER, request) as client:
        token = client.token()
        print(f"a {token.token_type} token for {token.scope!r}, {token.expires_in} s to live: {token.access_token!r}")
        again = client.token()  # kept, not asked for again
        assert again.access_token.reveal() == token.access_token.reveal()
        api = httpx.Client(auth=TokenAuth(client))  # every call that it makes carries a live token
        api.close()


def ask_another_system() -> None:
    request = ClientCredentialsRequest(
        "185586e0df424f5ea938de13cba91e01",
        Secret("767372a5258a4fc1a03c57f3d071fc35"),
        tenant_identifier="de382a0e78f4deb681f3128c3e75dbd1",
    )
    # verify=False only because the demo's certificate is its own; a path names the authorities to trust.
    with TokenClient("https://localhost:8043", request, dialect="omada", verify=False) as client:
        print(f"Omada wants the header Authorization: {client.authorization()[:15]}...")


def be_refused() -> None:
    with TokenClient(SERVER, ClientCredentialsRequest("demo", Secret("wrong"))) as client:
        try:
            client.token()
        except OAuthError as error:
            print(f"refused: {error.code}: {error.description}")


if __name__ == "__main__":
    ask_by_the_standard()
    ask_another_system()
    be_refused()
