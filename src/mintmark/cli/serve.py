"""`mintmark serve`: check everything, bind, then run the workers until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog
import uvloop

from mintmark.admin.demo import DEMO, DEMO_LISTENERS, load_demo
from mintmark.admin.deployment import initialize, open_deployment
from mintmark.app import build_application, check_tenants
from mintmark.cli.options import add_command, read_settings
from mintmark.http.asgi import Answer
from mintmark.http.capacity import raise_file_limit
from mintmark.http.certificate import ensure_certificate
from mintmark.http.listeners import Listener, bind_sockets, is_loopback, load_tls, parse_listener
from mintmark.http.proxy import parse_networks
from mintmark.http.serving import Binding, HttpServer
from mintmark.http.supervisor import STOP_SIGNALS, RunWorker, Supervisor
from mintmark.http.systemd import tell_systemd
from mintmark.logs import configure_logs
from mintmark.metrics.board import Board
from mintmark.observation import require_telemetry
from mintmark.protocol.errors import SettingsError
from mintmark.settings import FIELDS, Settings

log = structlog.get_logger()

BoundListener = tuple[Listener, list[list[socket.socket]]]
OwnSockets = tuple[Listener, list[socket.socket]]
CERTIFICATE: Final = "localhost.crt"
PRIVATE_KEY: Final = "localhost.key"
GC_THRESHOLD: Final = 20_000
"""New container objects before a collection; Python begins one every 700, some 20 requests."""


class Worker(NamedTuple):
    """One worker: its settings, which one it is, and where all show their figures."""

    settings: Settings
    number: int
    board: Board


def add_parser(parsers: Any) -> None:
    """Add the command."""
    example = (
        "mintmark serve --listen https://0.0.0.0:8443 --tls-certificate tls.crt --tls-private-key tls.key --workers 4"
    )
    serve = add_command(parsers, "serve", run, text="run the server until Ctrl-C", example=example)
    serve.add_argument("--demo", action="store_true", help="make and load the demo, and listen on loopback for it")
    serve.add_argument("--listen", action="append", metavar="URL", help="address to listen on (repeatable)")
    serve.add_argument("--workers", type=int, help="processes (default: 1)")
    serve.add_argument(
        "--tls-certificate", type=Path, metavar="FILE", help="PEM certificate chain, for https listeners"
    )
    serve.add_argument("--tls-private-key", type=Path, metavar="FILE", help="PEM private key")
    serve.add_argument(
        "--trusted-proxy",
        action="append",
        metavar="ADDRESS",
        help="proxy or network that ends TLS in front and whose X-Forwarded headers are believed (repeatable)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the server."""
    settings = _read_serve_settings(arguments)
    configure_logs(settings)
    raise_file_limit()
    listeners = [parse_listener(text) for text in settings.listen]
    _require_safe(listeners, settings, is_demo=arguments.demo)
    if settings.otlp_endpoint:
        require_telemetry()
    bound: list[BoundListener] = [(listener, bind_sockets(listener, settings.workers)) for listener in listeners]
    # Who reads that Ctrl-C stops it may press it: the signals wait until there is a handler for them. They wait from
    # here on, because a thread that the preparation started would take them while it ends.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    asyncio.run(_prepare(settings, is_demo=arguments.demo))
    metrics = _bind_metrics(settings, is_demo=arguments.demo)
    if any(listener.is_tls for listener in [*listeners, *(one for one, _ in metrics)]):
        load_tls(settings.tls_certificate, settings.tls_private_key)
    for _, by_worker in [*bound, *metrics]:
        for sockets in by_worker:
            for one in sockets:
                # From here on connections queue: the lines printed below work at once.
                one.listen(2048)
    _announce(listeners, is_demo=arguments.demo)
    run_worker = _worker_of(settings, bound, metrics)
    if settings.workers == 1:
        return run_worker(0, None)
    grace_s = settings.shutdown_delay_s + settings.shutdown_grace_s
    return Supervisor(run_worker, settings.workers, grace_s=grace_s, let_go=partial(_let_go, bound)).run()


def _read_serve_settings(arguments: argparse.Namespace) -> Settings:
    given = {
        "listen": arguments.listen,
        "workers": arguments.workers,
        "tls_certificate": arguments.tls_certificate,
        "tls_private_key": arguments.tls_private_key,
        "trusted_proxies": arguments.trusted_proxy,
    }
    settings = read_settings(arguments, **given)
    if arguments.demo and settings.tls_certificate is None:
        given["tls_certificate"] = settings.state_dir / CERTIFICATE
        given["tls_private_key"] = settings.state_dir / PRIVATE_KEY
    if arguments.demo and arguments.listen is None:
        given["listen"] = DEMO_LISTENERS
    return read_settings(arguments, **given)


def _require_safe(listeners: Sequence[Listener], settings: Settings, *, is_demo: bool) -> None:
    parse_networks(settings.trusted_proxies)
    for listener in listeners:
        if is_loopback(listener.host):
            continue
        if is_demo:
            raise SettingsError(
                f"listen: {listener.url}: the demo's secrets are public, so it listens on loopback addresses only"
            )
        if not listener.is_tls and not settings.trusted_proxies:
            raise SettingsError(
                f"listen: {listener.url}: plain HTTP off loopback would show secrets to the network."
                " Use https with tls_certificate, or name the proxy that ends TLS in front with --trusted-proxy"
            )


def _bind_metrics(settings: Settings, *, is_demo: bool) -> list[BoundListener]:
    """Bind the metrics listener: one socket, from which any worker takes a connection, for each tells of all.

    The default address may be another server's on this machine: then this one goes without, and says so.
    """
    if not settings.metrics_listen:
        return []
    try:
        listener = parse_listener(settings.metrics_listen, "metrics_listen")
        if is_demo and not is_loopback(listener.host):
            raise SettingsError(f"metrics_listen: {listener.url}: the demo listens on loopback addresses only")
        return [(listener, bind_sockets(listener, 1))]
    except SettingsError as error:
        if settings.metrics_listen != FIELDS["metrics_listen"].default:
            raise
        log.warning("metrics_not_served", error=str(error), hint="set metrics_listen to another address, or to nothing")
        return []


async def _prepare(settings: Settings, *, is_demo: bool) -> None:
    """Find every fault of the deployment before the first worker runs, and load the demo."""
    administration = await (initialize(settings) if is_demo else open_deployment(settings))
    try:
        if is_demo:
            await load_demo(administration)
            if settings.tls_certificate == settings.state_dir / CERTIFICATE and settings.tls_private_key:
                ensure_certificate(settings.tls_certificate, settings.tls_private_key)
        await check_tenants(administration)
    finally:
        await administration.store.close()


def _announce(listeners: Sequence[Listener], *, is_demo: bool) -> None:
    for listener in listeners:
        print(f"Mintmark listens on {listener.url}")
    if is_demo:
        print("\nThe demo: public secrets, loopback only. Paste a line for a token:\n")
        for row in DEMO:
            print(f"# {row.tenant.tenant_id} ({row.tenant.dialect})\n{row.curl}\n")
    print("Ctrl-C stops it.")
    sys.stdout.flush()
    tell_systemd("READY=1")


def _worker_of(settings: Settings, bound: Sequence[BoundListener], metrics: Sequence[BoundListener]) -> RunWorker:
    # Made before the workers are forked: they share it.
    board = Board(settings.workers)

    def run_worker(number: int, lifeline: int | None) -> int:
        _close_sockets(bound, all_but=number)
        sockets = [(listener, by_worker[number]) for listener, by_worker in bound]
        shared = [(listener, sockets) for listener, [sockets] in metrics]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(Worker(settings, number, board), sockets, shared, lifeline))

    return run_worker


def _close_sockets(bound: Sequence[BoundListener], *, all_but: int | None = None) -> None:
    """Close this process's copies: a socket takes connections until the last process that has it closes it."""
    for _, by_worker in bound:
        for number, sockets in enumerate(by_worker):
            for one in sockets if number != all_but else ():
                one.close()


def _let_go(bound: Sequence[BoundListener]) -> None:
    """What the parent does when the workers are to end."""
    tell_systemd("STOPPING=1")
    _close_sockets(bound)


def _listen_for_the_end(lifeline: int | None) -> asyncio.Event:
    """Return what is set by a stop signal, or by the end of the parent at the other end of the lifeline."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def on_parent_gone(pipe: int) -> None:
        loop.remove_reader(pipe)  # it would be called without end
        stop.set()

    for name in STOP_SIGNALS:
        loop.add_signal_handler(name, stop.set)
    if lifeline is not None:
        loop.add_reader(lifeline, on_parent_gone, lifeline)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    return stop


def _spare_the_collector() -> None:
    """Keep what the start made out of every collection: it stays for good, and requests leave few cycles behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def _bind_app(
    settings: Settings, sockets: Sequence[OwnSockets], make_answer: Callable[[Listener], Answer]
) -> HttpServer:
    return HttpServer(
        [
            Binding(
                one,
                load_tls(settings.tls_certificate, settings.tls_private_key) if listener.is_tls else None,
                make_answer(listener),
            )
            for listener, own in sockets
            for one in own
        ]
    )


async def _serve(
    worker: Worker, sockets: Sequence[OwnSockets], metrics: Sequence[OwnSockets], lifeline: int | None
) -> int:
    """Serve in this process until it is to stop, then finish what is in hand."""
    stop, settings = _listen_for_the_end(lifeline), worker.settings
    application = await build_application(
        settings, await open_deployment(settings), board=worker.board, number=worker.number
    )
    server = _bind_app(
        settings,
        sockets,
        lambda one: application.reception(needs_tls=not one.is_tls and not is_loopback(one.host)).answer,
    )
    # Watched to the end: it stops after the others.
    watched = _bind_app(settings, metrics, lambda _: application.observation.metrics_reception().answer)
    await server.start()
    await watched.start()
    application.follow_changes()
    _spare_the_collector()
    await stop.wait()
    if lifeline is None:
        tell_systemd("STOPPING=1")
    application.observation.probes.is_shutting_down = True
    server.announce_end()
    await asyncio.sleep(settings.shutdown_delay_s)
    await server.stop(settings.shutdown_grace_s)
    await watched.stop(0.0)
    await application.close()
    return 0
