"""The error tree and its closed list of reasons."""

from __future__ import annotations

import re

import pytest

from mintmark.protocol.errors import REASONS, InvalidClient, InvalidRequest, MintmarkError, OAuthError

DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
every_reason = pytest.mark.parametrize("reason", REASONS)


@pytest.mark.rfc("6749", "5.2")
@every_reason
def test_a_description_is_of_the_characters_that_the_rfc_allows(reason):
    assert DESCRIPTION.fullmatch(REASONS[reason].description)


@every_reason
def test_a_reason_is_raised_by_the_class_of_its_code_alone(reason):
    assert REASONS[reason].error(reason).reason == reason
    for wrong in set(OAuthError.__subclasses__()) - {REASONS[reason].error}:
        with pytest.raises(TypeError):
            wrong(reason)


@every_reason
def test_a_description_never_holds_the_detail(reason):
    error = REASONS[reason].error(reason, "s3cret-input")
    assert "s3cret-input" not in error.description + str(error) + repr(error)


def test_every_code_has_one_class_and_a_reason_of_its_own_name():
    codes = [error.code for error in OAuthError.__subclasses__()]
    assert len(codes) == len(set(codes))
    assert set(codes) <= REASONS.keys()


def test_every_error_is_one_of_this_program():
    assert all(issubclass(row.error, MintmarkError) for row in REASONS.values())


@pytest.mark.rfc("6749", "10.10")
def test_unknown_client_wrong_secret_and_disabled_client_read_alike():
    rows = {REASONS[reason] for reason in ("unknown_client", "wrong_secret", "disabled_client")}
    assert len(rows) == 1


@pytest.mark.rfc("6749", "5.2")
def test_failed_client_authentication_is_401_and_a_bad_request_400():
    assert {row.status for row in REASONS.values() if row.error is InvalidClient} == {401}
    assert REASONS["two_credentials"].error is InvalidRequest
    assert REASONS["two_credentials"].status == 400


def test_an_unknown_reason_cannot_be_raised():
    with pytest.raises(KeyError):
        InvalidRequest("because")
