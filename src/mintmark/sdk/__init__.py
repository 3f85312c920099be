"""The client: asks any server of any dialect for a token, and keeps it until shortly before it expires.

    client = TokenClient("https://id.example", ClientCredentialsRequest("my-client", Secret(secret)))
    httpx.get("https://api.example/orders", headers={"Authorization": client.authorization()})

It stands on the dialects and the protocol alone, and never imports the server.
"""

from mintmark.dialects.codec import Dialect
from mintmark.protocol.errors import InvalidClient, MintmarkError, OAuthError, SettingsError
from mintmark.protocol.messages import TokenResponse
from mintmark.protocol.secret import Secret
from mintmark.sdk.bearer import AsyncTokenAuth, TokenAuth
from mintmark.sdk.cache import AsyncTokenCache, TokenCache
from mintmark.sdk.client import AsyncTokenClient, TokenClient
from mintmark.sdk.exchange import ClientCredentialsRequest, TokenEndpointUnreachable, TokenExchange

__all__ = [
    "AsyncTokenAuth",
    "AsyncTokenCache",
    "AsyncTokenClient",
    "ClientCredentialsRequest",
    "Dialect",
    "InvalidClient",
    "MintmarkError",
    "OAuthError",
    "Secret",
    "SettingsError",
    "TokenAuth",
    "TokenCache",
    "TokenClient",
    "TokenEndpointUnreachable",
    "TokenExchange",
    "TokenResponse",
]
