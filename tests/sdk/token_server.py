"""A token server of a few lines on a real socket, for the sdk's tests: it answers by a dialect's codec."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mintmark.dialects.catalogue import load_dialects
from mintmark.dialects.codec import Dialect
from mintmark.protocol.errors import InvalidClient, OAuthError
from mintmark.protocol.http import HttpRequest, HttpResponse
from mintmark.protocol.messages import TokenRequest, TokenResponse
from mintmark.protocol.secret import Secret

SECRET = "s3cret:with%and+ä"
SCOPELESS = {"omada", "oneaccess"}


class TokenServer(ThreadingHTTPServer):
    """Counts the token requests that it reads; the tests set what it answers."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.dialect = dialect
        self.seen: list[TokenRequest] = []
        self.lines: list[str] = []
        self.lifetime_s = 3600
        self.delay_s = 0.0
        self.answer: HttpResponse | None = None

    def handle_error(self, *_: object) -> None:
        """Callers that hang up are part of the tests."""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def respond(self, request: HttpRequest) -> HttpResponse:
        time.sleep(self.delay_s)
        try:
            token_request = self.dialect.decode_token_request(request)
            self.seen.append(token_request)
            credentials = token_request.credentials[0]
            if credentials.client_secret is None or credentials.client_secret.reveal() != SECRET:
                raise InvalidClient("wrong_secret")
        except OAuthError as error:
            return self.dialect.encode_error(error)
        return self.answer or self.dialect.encode_token_response(self.issue(len(self.seen)))

    def issue(self, number: int) -> TokenResponse:
        rest = (Secret(f"RT-{number}"), Secret(f"id.{number}"))
        return TokenResponse(Secret(f"token-{number}"), "Bearer", self.lifetime_s, "read", *rest)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TokenServer

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower().encode(): value.encode("latin-1") for name, value in self.headers.items()}
        self.server.lines.append(self.path)
        answer = self.server.respond(HttpRequest("POST", path, query.encode(), headers, body, ""))
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name.decode(), value.decode())
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        pass


@contextmanager
def running_server(name: str = "oauth2") -> Iterator[TokenServer]:
    with TokenServer(load_dialects()[name]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
