"""The signature algorithms, one row each: how a key is made, signs, verifies, and is written as a JWK.

RFC: 7518 sections 3.3 to 3.5 and 6, RFC: 8037. ML-DSA-65 is experimental: its JOSE form is still young.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from joserfc.jwk import ECKey, OKPKey, RSAKey

RSA_BITS: Final = 2048
RSA_EXPONENT: Final = 65537

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | mldsa.MLDSA65PrivateKey
Jwk = Mapping[str, Any]
Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]
"""Signature and signed octets in; True if it is right."""


class AlgorithmRow(NamedTuple):
    """One JWS algorithm."""

    generate: Callable[[], PrivateKey]
    make_sign: Callable[[Any], Sign]
    make_verify: Callable[[Jwk], Verify]
    export: Callable[[Any], dict[str, Any]]
    """From a public key to the members of its JWK."""


def _answers(verify: Callable[[bytes, bytes], object]) -> Verify:
    """Turn "raises if it is wrong" into an answer."""

    def is_right(signature: bytes, octets: bytes) -> bool:
        try:
            verify(signature, octets)
        except (InvalidSignature, ValueError):
            return False
        return True

    return is_right


def _rsa_row(scheme: padding.AsymmetricPadding, digest: HashAlgorithm) -> AlgorithmRow:
    def make_sign(key: rsa.RSAPrivateKey) -> Sign:
        return lambda octets: key.sign(octets, scheme, digest)

    def make_verify(jwk: Jwk) -> Verify:
        key = RSAKey.import_key(dict(jwk)).public_key
        return _answers(lambda signature, octets: key.verify(signature, octets, scheme, digest))

    generate = partial(rsa.generate_private_key, RSA_EXPONENT, RSA_BITS)
    return AlgorithmRow(generate, make_sign, make_verify, lambda key: RSAKey.import_key(key).as_dict(private=False))


def _ec_row(curve: ec.EllipticCurve, digest: HashAlgorithm) -> AlgorithmRow:
    """ECDSA signatures are R and S, each of the curve's width, not DER. RFC: 7518 section 3.4."""
    algorithm, width = ec.ECDSA(digest), (curve.key_size + 7) // 8

    def make_sign(key: ec.EllipticCurvePrivateKey) -> Sign:
        def sign(octets: bytes) -> bytes:
            r, s = decode_dss_signature(key.sign(octets, algorithm))
            return r.to_bytes(width, "big") + s.to_bytes(width, "big")

        return sign

    def make_verify(jwk: Jwk) -> Verify:
        key = ECKey.import_key(dict(jwk)).public_key

        def verify(signature: bytes, octets: bytes) -> None:
            if len(signature) != 2 * width:
                raise ValueError("not of the curve's width")
            r, s = (int.from_bytes(part, "big") for part in (signature[:width], signature[width:]))
            key.verify(encode_dss_signature(r, s), octets, algorithm)

        return _answers(verify)

    generate = partial(ec.generate_private_key, curve)
    return AlgorithmRow(generate, make_sign, make_verify, lambda key: ECKey.import_key(key).as_dict(private=False))


def _eddsa_row() -> AlgorithmRow:
    def make_verify(jwk: Jwk) -> Verify:
        return _answers(_ed25519_public_key(jwk).verify)

    return AlgorithmRow(
        ed25519.Ed25519PrivateKey.generate,
        lambda key: key.sign,
        make_verify,
        lambda key: OKPKey.import_key(key).as_dict(private=False),
    )


def _ed25519_public_key(jwk: Jwk) -> ed25519.Ed25519PublicKey:
    return ed25519.Ed25519PublicKey.from_public_bytes(_octets(jwk["x"]))


def _mldsa65_row() -> AlgorithmRow:
    def make_verify(jwk: Jwk) -> Verify:
        return _answers(mldsa.MLDSA65PublicKey.from_public_bytes(_octets(jwk["pub"])).verify)

    def export(key: mldsa.MLDSA65PublicKey) -> dict[str, Any]:
        return {"kty": "AKP", "pub": base64.urlsafe_b64encode(key.public_bytes_raw()).decode().rstrip("=")}

    return AlgorithmRow(
        mldsa.MLDSA65PrivateKey.generate,
        lambda key: key.sign,
        make_verify,
        export,
    )


def _octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


ALGORITHMS: Final[dict[str, AlgorithmRow]] = {
    "RS256": _rsa_row(padding.PKCS1v15(), SHA256()),
    "RS384": _rsa_row(padding.PKCS1v15(), SHA384()),
    "RS512": _rsa_row(padding.PKCS1v15(), SHA512()),
    "PS256": _rsa_row(padding.PSS(padding.MGF1(SHA256()), SHA256.digest_size), SHA256()),
    "ES256": _ec_row(ec.SECP256R1(), SHA256()),
    "ES384": _ec_row(ec.SECP384R1(), SHA384()),
    "EdDSA": _eddsa_row(),
    "ML-DSA-65": _mldsa65_row(),
}
"""By the name that stands in a JOSE header."""
