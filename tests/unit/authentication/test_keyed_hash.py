"""The keyed hash beside what the standard library makes of the same key."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.authentication.keyed_hash import KeyedHash
from mintmark.authentication.master_key import derive_key


@pytest.mark.rfc("2104", "2")
@given(root=st.binary(min_size=32, max_size=32), secret=st.binary(max_size=300))
def test_a_secret_is_kept_as_its_hmac_sha256(root, secret):
    key = derive_key(root, b"mintmark secret hash v1")
    assert KeyedHash(root).hash_secret(secret) == hmac.new(key, secret, "sha256").hexdigest()
