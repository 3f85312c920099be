"""The pages hold what the code holds, and every link in them leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.reference_pages import COMMAND, DOCS, PARTS, write_page

PAGES = [*sorted(DOCS.glob("*.md")), *sorted(Path().glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("page", PARTS)
def test_the_written_parts_of_a_page_are_current(page):
    assert (DOCS / page).read_text("utf-8") == write_page(page), f"run: {COMMAND}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_of_a_page_leads_to_a_file(page):
    missing = [target for target in LINK.findall(page.read_text("utf-8")) if not (page.parent / target).exists()]

    assert not missing
