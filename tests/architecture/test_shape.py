"""The shape of the house: proof types, sizes, names and docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePath

import pytest

from tests.architecture.source_code import Definition, Module, modules_of_tests, source_modules

PROOF_TYPES = {
    "AuthenticatedClient": ("authentication/authenticate.py", "authenticate_client"),
    "AccessGrant": ("grants/policy.py", "authorize_grant"),
    "MintedToken": ("tokens/mint.py", "mint_access_token"),
}
VAGUE_NAMES = {"helpers", "utils", "util", "helper", "common", "core", "manager", "service", "base", "misc", "lib"}
FILE_LINES, FUNCTION_LINES = 500, 60


def called_name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def constructions(proof_type: str) -> Iterator[tuple[str, str]]:
    """Each place that makes a value of the type: the file, and the function around it."""
    for module in source_modules():
        for function in (one for one in module.definitions() if not isinstance(one, ast.ClassDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and called_name(node) == proof_type:
                    yield module.name, function.name


@pytest.mark.parametrize("proof_type", PROOF_TYPES)
def test_a_proof_is_made_by_its_own_step_alone(proof_type: str):
    assert set(constructions(proof_type)) == {PROOF_TYPES[proof_type]}


@pytest.mark.parametrize("proof_type", PROOF_TYPES)
def test_a_proof_is_never_renamed_copied_or_converted(proof_type: str):
    for module in source_modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom):
                assert not [one for one in node.names if one.name == proof_type and one.asname], module.name
            if isinstance(node, ast.Call):
                arguments = [one.id for one in node.args if isinstance(one, ast.Name)]
                assert proof_type not in arguments, f"{module.name}:{node.lineno}"
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
                assert node.value.id != proof_type, f"{module.name}:{node.lineno}"


def test_the_token_endpoint_takes_the_steps_in_order():
    module = next(one for one in source_modules() if one.name == "endpoints/token.py")
    steps = ["decode_token_request", "authenticate_client", "authorize_grant", "_issue", "encode_token_response"]
    handle = next(one for one in module.definitions() if one.name == "handle")
    calls = [node for node in ast.walk(handle) if isinstance(node, ast.Call) and called_name(node) in steps]

    assert [called_name(call) for call in sorted(calls, key=lambda call: call.lineno)] == steps


@pytest.mark.parametrize("modules", [source_modules(), modules_of_tests()], ids=["src", "tests"])
def test_no_file_is_longer_than_500_lines(modules: tuple[Module, ...]):
    assert [module.name for module in modules if module.lines > FILE_LINES] == []


@pytest.mark.parametrize("modules", [source_modules(), modules_of_tests()], ids=["src", "tests"])
def test_no_function_is_longer_than_60_lines(modules: tuple[Module, ...]):
    found = [
        f"{module.name}: {one.name}"
        for module in modules
        for one in module.definitions()
        if not isinstance(one, ast.ClassDef) and (one.end_lineno or one.lineno) - one.lineno >= FUNCTION_LINES
    ]

    assert found == []


@pytest.mark.parametrize("modules", [source_modules(), modules_of_tests()], ids=["src", "tests"])
def test_no_file_or_folder_has_a_name_that_says_nothing(modules: tuple[Module, ...]):
    names = {part.removesuffix(".py") for module in modules for part in PurePath(module.name).parts}

    assert names & VAGUE_NAMES == set()


def is_stub(definition: Definition) -> bool:
    """A property of a Protocol, which its class's docstring explains."""
    last = definition.body[-1]
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and last.value.value is Ellipsis


def public_definitions(module: Module) -> Iterator[Definition]:
    """Public functions, classes, and the public methods of public classes; properties that only name a value not."""
    for node in module.tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, Definition) and not inner.name.startswith("_"):
                    yield inner


def test_every_module_says_what_it_owns():
    silent = [module.name for module in source_modules() if module.text and not ast.get_docstring(module.tree)]

    assert silent == []


def test_every_public_function_and_class_says_what_it_does():
    silent = [
        f"{module.name}: {one.name}"
        for module in source_modules()
        for one in public_definitions(module)
        if not ast.get_docstring(one) and not is_stub(one) and not is_short_property(one)
    ]

    assert silent == []


def is_short_property(definition: Definition) -> bool:
    """One line whose name says it all."""
    names = [getattr(one, "id", "") for one in definition.decorator_list]
    return "property" in names and len(definition.body) == 1


def test_a_test_is_named_as_a_sentence():
    short = [
        f"{module.name}: {one.name}"
        for module in modules_of_tests()
        if not module.name.startswith("foreign/")  # named after the programs that they run
        for one in module.definitions()
        if one.name.startswith("test_") and not isinstance(one, ast.ClassDef) and one.name.count("_") < 3
    ]

    assert short == []


def test_no_secret_text_is_compared_outside_the_one_module_that_may():
    """`compare_digest` stands in one place; nothing compares a revealed secret with `==`."""
    # The sdk holds nothing but its own user's tokens: nobody can guess against it.
    for module in (one for one in source_modules() if not one.name.startswith("sdk/")):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and called_name(node) == "compare_digest":
                assert module.name == "authentication/comparison.py"
            if isinstance(node, ast.Compare) and any(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops):
                sides = [node.left, *node.comparators]
                calls = [called_name(one) for one in sides if isinstance(one, ast.Call)]
                assert not {"reveal", "encoded", "keyed_hash"} & set(calls), f"{module.name}:{node.lineno}"
