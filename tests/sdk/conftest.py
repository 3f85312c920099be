from __future__ import annotations

import pytest

from mintmark.sdk import ClientCredentialsRequest, Secret
from tests.sdk.token_server import SECRET, running_server


@pytest.fixture
def server():
    with running_server() as running:
        yield running


@pytest.fixture
def request_of_a_client() -> ClientCredentialsRequest:
    return ClientCredentialsRequest("my-client", Secret(SECRET), "read")
