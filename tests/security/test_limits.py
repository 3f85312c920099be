"""Bounds on what a caller may send, and octets that are no request at all. ASVS V13.1, RFC 9110, RFC 9112."""

from __future__ import annotations

import os
import random
import socket
from urllib.parse import urlencode

import pytest

from mintmark.http.limits import MAX_PIPELINED
from tests.endpoints.servers import Server, receive_all
from tests.endpoints.systems import DEFAULT, FORM, ask, basic

FIELDS = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": DEFAULT.client_secret}
BODY = urlencode(FIELDS).encode()
LINE = b"POST /oauth2/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: " + FORM.encode() + b"\r\n"
LIMIT = 64 * 1024
HEADER_LIMIT = 32 * 1024
TOO_LARGE = b"HTTP/1.1 413 "
HEADERS_TOO_LARGE = b"HTTP/1.1 431 "


def with_length(body: bytes, announced: int | None = None, more: bytes = b"") -> bytes:
    return LINE + more + b"content-length: %d\r\n\r\n" % (len(body) if announced is None else announced) + body


def in_chunks(body: bytes, more: bytes = b"", trailers: bytes = b"") -> bytes:
    parts = [body[start : start + 8000] for start in range(0, len(body), 8000)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return LINE + more + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailers + b"\r\n"


def padded(size: int) -> bytes:
    return BODY + b"&x=" + b"y" * (size - len(BODY) - 3)


@pytest.fixture(autouse=True)
def the_server_lives_on(server: Server):
    yield
    assert server.process.poll() is None
    assert server.send(ask(DEFAULT)).status == 200


# The body.


@pytest.mark.parametrize("octets", [with_length(padded(LIMIT)), in_chunks(padded(LIMIT))], ids=["announced", "chunked"])
def test_a_body_of_64_kib_is_read(server: Server, octets: bytes):
    assert server.send_octets(octets).startswith(b"HTTP/1.1 200 ")


@pytest.mark.rfc("9110", "15.5.14")
@pytest.mark.parametrize("size", [LIMIT + 1, 300_000, 3_000_000])
@pytest.mark.parametrize("write", [with_length, in_chunks], ids=["announced", "chunked"])
def test_a_larger_body_is_refused_in_the_dialect(server: Server, size: int, write):
    answer = server.send_octets(write(padded(size)))

    assert answer.startswith(TOO_LARGE)
    assert b"connection: close" in answer
    assert b'"error":"invalid_request"' in answer


@pytest.mark.rfc("9110", "10.1.1")
def test_a_large_body_that_waits_for_100_continue_is_refused_at_once(server: Server):
    with server.connect() as connection:
        connection.sendall(with_length(b"", 10_000_000, b"expect: 100-continue\r\n"))
        answer = receive_all(connection)

    assert answer.startswith(TOO_LARGE)


@pytest.mark.rfc("9110", "10.1.1")
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_waits_for_100_continue_is_asked_for(server: Server, chunked: bool):
    octets = (
        in_chunks(BODY, b"expect: 100-continue\r\n")
        if chunked
        else with_length(BODY, None, b"expect: 100-continue\r\n")
    )
    head, _, body = octets.partition(b"\r\n\r\n")
    with server.connect() as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert receive_all(connection).startswith(b"HTTP/1.1 200 ")


def test_a_chunked_body_that_grows_too_large_after_100_continue_is_refused(server: Server):
    with server.connect() as connection:
        head, _, body = in_chunks(padded(LIMIT * 2), b"expect: 100-continue\r\n").partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert receive_all(connection).startswith(TOO_LARGE)


# The header block.


def headers_of(size: int) -> bytes:
    return b"".join(b"x-%04d: %b\r\n" % (number, b"y" * 90) for number in range(size // 100))


def test_a_header_block_of_up_to_32_kib_is_read(server: Server):
    assert server.send_octets(with_length(BODY, None, headers_of(30_000))).startswith(b"HTTP/1.1 200 ")


@pytest.mark.rfc("6585", "5")
@pytest.mark.parametrize(
    "more",
    [
        headers_of(40_000),
        b"x-long: " + b"y" * 40_000 + b"\r\n",
        headers_of(400_000),
        b"cookie: " + b"a=b; " * 8000 + b"\r\n",
    ],
    ids=["many", "one", "very many", "cookie"],
)
@pytest.mark.parametrize("segments", [1, 7], ids=["at once", "in parts"])
def test_a_larger_header_block_is_refused(server: Server, more: bytes, segments: int):
    octets = with_length(BODY, None, more)
    size = len(octets) // segments + 1

    answer = server.send_octets(*[octets[start : start + size] for start in range(0, len(octets), size)])

    assert answer.startswith(HEADERS_TOO_LARGE)
    assert answer.count(b"HTTP/1.1") == 1


def test_a_header_line_without_end_is_refused(server: Server):
    answer = server.send_octets(b"GET / HTTP/1.1\r\nx: ", *[b"y" * 1000] * 60)

    assert answer.startswith(HEADERS_TOO_LARGE)


@pytest.mark.parametrize(
    "octets", [b"GET /" + b"y" * 50_000, b"GET /" + b"y" * 50_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"]
)
def test_an_endless_request_line_is_refused(server: Server, octets: bytes):
    assert server.send_octets(octets).startswith(HEADERS_TOO_LARGE)


def test_a_larger_header_block_is_refused_behind_another_request_too(server: Server):
    first = b"GET /oauth2/jwks HTTP/1.1\r\nhost: x\r\n\r\n"

    answer = server.send_octets(first + with_length(BODY, None, headers_of(60_000)))

    assert b"HTTP/1.1 200 OK\r\n" not in answer.partition(b"HTTP/1.1 431 ")[2]
    assert b"access_token" not in answer


def test_requests_that_are_small_one_by_one_may_be_many_at_once(server: Server):
    one = with_length(BODY, None, headers_of(3000)).replace(b"connection: close\r\n", b"")
    octets = one * MAX_PIPELINED
    assert len(octets) > 2 * HEADER_LIMIT

    answer = server.send_octets(octets + with_length(BODY))

    assert answer.count(b"HTTP/1.1 200 OK\r\n") == MAX_PIPELINED + 1


def test_a_connection_that_queues_more_requests_than_may_wait_is_cut_off(server: Server):
    one = b"GET /oauth2/jwks HTTP/1.1\r\nhost: x\r\n\r\n"

    answer = server.send_octets(one * 1000)

    assert answer.count(b"HTTP/1.1 ") <= MAX_PIPELINED + 1


# What has more than one meaning.


@pytest.mark.rfc("9112", "3.2")
@pytest.mark.parametrize("hosts", [b"", b"host: x\r\nhost: x\r\n", b"host: x\r\nHOST: y\r\n"])
def test_a_request_without_one_host_is_refused(server: Server, hosts: bytes):
    answer = server.send_octets(with_length(BODY).replace(b"host: x\r\n", hosts))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.rfc("9112", "3.2")
def test_http_1_0_needs_no_host_but_bears_no_two(server: Server):
    old = with_length(BODY).replace(b"HTTP/1.1", b"HTTP/1.0")

    assert server.send_octets(old.replace(b"host: x\r\n", b"")).startswith(b"HTTP/1.1 200 ")
    assert server.send_octets(old.replace(b"host: x\r\n", b"host: x\r\nhost: y\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.rfc("9112", "6.1")
@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip\r\ntransfer-encoding: chunked", b"gzip"])
def test_a_transfer_coding_other_than_chunked_is_not_implemented(server: Server, coding: bytes):
    answer = server.send_octets(in_chunks(BODY).replace(b": chunked", b": " + coding))

    assert answer.startswith(b"HTTP/1.1 501 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.rfc("9112", "9.3.2")
def test_a_refusal_never_passes_for_the_answer_of_an_earlier_request(server: Server):
    answer = server.send_octets(with_length(BODY).replace(b"connection: close\r\n", b"") + b"GET / HTTP/1.1\r\n\r\n")

    assert not answer.startswith(b"HTTP/1.1 400 ")


# Trailers: RFC 9110 section 6.5.


@pytest.mark.rfc("9110", "6.5.1")
def test_a_trailer_is_never_taken_for_a_header(server: Server):
    credentials = basic(DEFAULT.client_id, DEFAULT.client_secret).encode()
    trailers = b"authorization: " + credentials + b"\r\n"

    answer = server.send_octets(in_chunks(b"grant_type=client_credentials", trailers=trailers))

    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.rfc("9110", "6.5.1")
@pytest.mark.parametrize("trailers", [headers_of(5_000_000), b"x: " + b"y" * 5_000_000], ids=["many", "endless"])
def test_trailers_are_bounded_with_the_whole_request(server: Server, trailers: bytes):
    head, _, rest = in_chunks(BODY, trailers=trailers).partition(b"\r\n\r\n")

    answer = server.send_octets(head + b"\r\n\r\n", rest)

    assert answer.startswith(HEADERS_TOO_LARGE)


# What is no request.


@pytest.mark.rfc("9112", "3")
@pytest.mark.parametrize(
    "octets",
    [
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"HELO x\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nx\0y: z\r\n\r\n",
        LINE + b"content-length: -1\r\n\r\n",
        LINE + b"content-length: 1x\r\n\r\n",
        LINE + b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        LINE + b"content-length: 99999999999999999999999\r\n\r\n",
        LINE + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        LINE + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        LINE + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_octets_that_are_no_request_get_400_or_nothing(server: Server, octets: bytes):
    answer = server.send_octets(octets, half_close=True)

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") <= 1


def test_random_octets_get_400_or_nothing(server: Server):
    chance = random.Random(6749)
    for _ in range(40):
        octets = chance.randbytes(chance.randrange(1, 3000))
        answer = server.send_octets(octets, half_close=True)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


def test_plain_http_on_a_tls_port_gets_no_token(server: Server):
    with socket.create_connection(("127.0.0.1", server.tls_port), 15) as connection:
        connection.sendall(with_length(BODY))
        assert b"access_token" not in receive_all(connection)


def client_hello(minor_version: int) -> bytes:
    """A TLS handshake's first record, for a version and no other: 2 is TLS 1.1, 3 is TLS 1.2."""
    suites, compression = bytes.fromhex("0004c02bc009"), bytes.fromhex("0100")
    extensions = bytes.fromhex("0010000d000400020403000a000400020017")
    body = bytes([3, minor_version]) + b"B" * 32 + b"\0" + suites + compression + extensions
    handshake = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + len(handshake).to_bytes(2, "big") + handshake


@pytest.mark.parametrize(("minor_version", "goes_on"), [(3, True), (2, False), (1, False)])
def test_tls_older_than_1_2_is_refused(server: Server, minor_version: int, goes_on: bool):
    with socket.create_connection(("127.0.0.1", server.tls_port), 15) as connection:
        connection.sendall(client_hello(minor_version))
        first = connection.recv(1)

    assert (first == b"\x16") is goes_on


@pytest.mark.rfc("9112", "9.3.2")
def test_pipelined_requests_are_answered_in_order(server: Server):
    keep = LINE.replace(b"connection: close\r\n", b"")
    wrong = b"grant_type=x&" + BODY.partition(b"&")[2]
    requests = [b"GET /oauth2/jwks HTTP/1.1\r\nhost: x\r\n\r\n"]
    requests += [keep + b"content-length: %d\r\n\r\n" % len(body) + body for body in (BODY, wrong)]

    answer = server.send_octets(b"".join(requests) + b"GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")

    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"200", b"400", b"404"]


def test_nothing_is_answered_behind_an_answer_that_closes(server: Server):
    answer = server.send_octets(with_length(BODY) + with_length(BODY))

    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_caller_that_closes_its_half_keeps_nobody_waiting(server: Server):
    for octets in (with_length(BODY), LINE, with_length(BODY, 5000), b""):
        server.send_octets(octets, half_close=True)


def test_a_caller_that_goes_away_in_the_middle_leaves_nothing_in_the_log(server: Server):
    before = server.log
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(with_length(BODY, 5000))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(os.urandom(20))
    assert server.send(ask(DEFAULT)).status == 200

    assert "Traceback" not in server.log[len(before) :]
