"""The shared memory by itself: series, sums, a sheet that goes on, and one that is full."""

from __future__ import annotations

import timeit
from collections.abc import Callable

import pytest

from mintmark.metrics.board import VALUES, Board, Sheet
from mintmark.metrics.catalogue import BATCH, CPU, EXPIRING_SECRETS, ISSUED, OVERFLOW, REFUSED, REQUEST, WAITING
from mintmark.metrics.meters import add_to, make_counter, make_histogram, set_to
from mintmark.metrics.text import sum_sheets, write_text
from tests.observe.watching import Figures, read_figures

ACME = ("acme", "oauth2", "client_credentials")


async def read(board: Board) -> Figures:
    return read_figures((await write_text(await sum_sheets(board))).decode())


async def test_the_sheets_of_all_workers_are_added():
    board = Board(3)
    for times, sheet in enumerate(board.sheets, 1):
        count = make_counter(sheet, ISSUED)
        for _ in range(times):
            count(*ACME)

    figures = await read(board)

    assert figures.of(ISSUED.name, tenant="acme", dialect="oauth2", grant="client_credentials") == 6


async def test_a_worker_that_takes_a_sheet_over_goes_on_counting():
    board = Board(1)
    make_counter(board.sheets[0], ISSUED)(*ACME)
    # The sheet as a new process sees it: it knows nothing but what stands in the memory.
    successor = Sheet(memory_of(board))
    make_counter(successor, ISSUED)(*ACME)
    make_counter(successor, ISSUED)("other-tenant", "omada", "refresh_token")

    figures = await read(board)

    assert figures.of(ISSUED.name, tenant="acme") == 2
    assert figures.of(ISSUED.name, tenant="other-tenant") == 1


def memory_of(board: Board) -> memoryview:
    return memoryview(board.sheets[0].values.obj)


async def test_a_state_does_not_outlive_its_process_and_a_count_does():
    board = Board(1)
    sheet = board.sheets[0]
    set_to(sheet, WAITING, 7.0)
    add_to(sheet, CPU, 1.5, "0")

    sheet.forget_gauges()

    figures = await read(board)
    assert (figures.of(WAITING.name), figures.of(CPU.name)) == (0, 1.5)


@pytest.mark.parametrize(("value", "bucket"), [(0.0005, "0.0005"), (0.00051, "0.001"), (10.0, "10.0"), (11.0, "+Inf")])
async def test_a_value_falls_into_the_first_bucket_that_holds_it(value: float, bucket: str):
    board = Board(1)
    make_histogram(board.sheets[0], REQUEST)(value, "token")

    figures = await read(board)

    filled = {dict(labels)["le"] for (_, labels), count in figures.items() if ("le" in dict(labels)) and count}
    assert min(filled, key=float) == bucket
    assert figures.of(f"{REQUEST.name}_count", endpoint="token") == 1
    assert figures.of(f"{REQUEST.name}_sum", endpoint="token") == pytest.approx(value)


async def test_a_histogram_with_one_name_and_no_labels_counts_whole_numbers_in_their_own_bucket():
    board = Board(1)
    observe = make_histogram(board.sheets[0], BATCH)
    for size in (1, 1, 400, 401):
        observe(float(size))

    figures = await read(board)

    assert figures.of(f"{BATCH.name}_bucket", le="1.0") == 2
    assert figures.of(f"{BATCH.name}_bucket", le="400.0") == 3
    assert figures.of(f"{BATCH.name}_sum") == 803


async def test_a_full_sheet_loses_no_count():
    board = Board(1)
    count, refuse = make_counter(board.sheets[0], ISSUED), make_counter(board.sheets[0], REFUSED)
    for number in range(VALUES + 10):
        count(f"tenant-{number}", "oauth2", "client_credentials")
    refuse("late", "oauth2", "none", "wrong_secret")

    figures = await read(board)

    assert figures.of(ISSUED.name) == VALUES + 10
    assert figures.of(ISSUED.name, tenant=OVERFLOW) > 10
    assert figures.of(REFUSED.name, tenant=OVERFLOW, reason=OVERFLOW) == 1


async def test_a_label_is_written_so_that_it_reads_back():
    board = Board(1)
    set_to(board.sheets[0], EXPIRING_SECRETS, 1.0, 'a"b\\c\nd')

    assert (await read(board)).labels(EXPIRING_SECRETS.name, "tenant") == {'a"b\\c\nd'}


def cost_ns(call: Callable[[], object]) -> float:
    """The best of many, as whatever else the machine does only adds."""
    return min(timeit.repeat(call, number=10_000, repeat=20)) / 10_000 * 1e9


def test_counting_and_timing_a_request_cost_about_a_microsecond_at_most():
    sheet = Board(1).sheets[0]
    count, observe = make_counter(sheet, ISSUED), make_histogram(sheet, REQUEST)

    # Half of it on the machines that we know; twice leaves room for others, and would still show a lock or a format.
    assert cost_ns(lambda: count(*ACME)) + cost_ns(lambda: observe(0.0007, "token")) < 2000
