"""A secret shows nowhere but where it is revealed."""

from __future__ import annotations

import copy
import pickle

import msgspec
import pytest

from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import ClientCredentials, TokenRequest, TokenResponse
from mintmark.protocol.secret import MASK, Secret

TEXT = "tr0ub4dor&3"
SHOWN = [
    repr,
    str,
    "{}".format,
    "{:>40}".format,
    "{!r}".format,
    lambda secret: f"{secret}",
    lambda secret: "%s" % secret,  # noqa: UP031 - the old way of formatting must not leak either
    lambda secret: repr([secret]),
    lambda secret: repr(ClientCredentials("client_secret_post", "id", secret)),
    lambda secret: repr(TokenRequest("client_credentials", (ClientCredentials("none", "id", secret),), None, secret)),
    lambda secret: repr(TokenResponse(secret, "Bearer", 1, None, secret, secret)),
]


@pytest.mark.parametrize("show", SHOWN)
def test_no_way_of_showing_a_secret_shows_its_text(show):
    shown = show(Secret(TEXT))
    assert TEXT not in shown
    assert MASK in shown


def test_a_secret_is_revealed_on_purpose_only():
    assert Secret(TEXT).reveal() == TEXT
    assert Secret("ä").encoded() == b"\xc3\xa4"


def test_secrets_are_not_compared_with_the_equals_sign():
    with pytest.raises(TypeError):
        Secret(TEXT) == Secret(TEXT)  # noqa: B015 - the comparison itself is what raises


def test_a_secret_is_no_key_of_a_mapping():
    with pytest.raises(TypeError):
        hash(Secret(TEXT))


@pytest.mark.parametrize("write", [pickle.dumps, copy.deepcopy, msgspec.json.encode])
def test_a_secret_is_not_written_anywhere(write):
    with pytest.raises(TypeError):
        write(Secret(TEXT))


def test_the_repr_of_an_http_message_shows_no_secret():
    headers = {b"authorization": TEXT.encode()}
    request = HttpRequest("POST", "/oauth2/token", TEXT.encode(), headers, TEXT.encode(), "")
    assert repr(request) == "HttpRequest(POST /oauth2/token)"
    assert TEXT not in repr(HttpResponse(200, ((b"x", TEXT.encode()),), TEXT.encode()))
