"""The administrator's verbs: none writes past the audit log."""

from __future__ import annotations

import ast
import re

from tests.architecture.source_code import source_modules

UNRECORDED = re.compile(
    r"administration\.store\.(?:unsynced\(\)\.)?(?:tenants|clients|keys|sites|tokens)\."
    r"(?:add|change|remove|replace|reset|bump|revoke)\w*$"
)
ALLOWED = {"remove_expired_secrets"}
"""What has died of age: its end was recorded when it was set."""


def test_no_verb_changes_what_is_registered_without_a_record():
    found = [
        f"{module.name}:{node.lineno}"
        for module in source_modules()
        if module.name.startswith(("admin/", "api/"))
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and UNRECORDED.search(ast.unparse(node.func))
        if ast.unparse(node.func).rpartition(".")[2] not in ALLOWED
    ]

    assert found == []


def test_a_change_without_a_record_would_be_noticed():
    assert UNRECORDED.search("administration.store.clients.add_secret")
    assert UNRECORDED.search("administration.store.unsynced().tenants.change")
    assert not UNRECORDED.search("administration.store.clients.find")
    assert not UNRECORDED.search("administration.acting('x').clients.add")
