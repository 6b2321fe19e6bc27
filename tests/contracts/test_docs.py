"""Documents say what the code does."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.contracts.generated_docs import DOCS, PAGES

ROOT = DOCS.parent


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_generated_page_is_in_step_with_its_table(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


@cache
def _tests_of(path: Path) -> frozenset[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            names.add(node.name)
    return frozenset(names)


def _named_tests() -> list[tuple[str, str]]:
    text = (DOCS / "acceptance.md").read_text(encoding="utf-8")
    return re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)


def test_every_test_that_the_acceptance_page_names_exists() -> None:
    named = _named_tests()
    assert named
    missing = []
    for file, test in named:
        path = ROOT / file
        if not path.is_file() or (test and test not in _tests_of(path)):
            missing.append(f"{file}::{test}")
    assert missing == []


def test_every_row_of_the_acceptance_page_names_a_test_or_says_open() -> None:
    text = (DOCS / "acceptance.md").read_text(encoding="utf-8")
    rows = [
        line
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith(("| row", "|--", "| what"))
    ]
    assert rows
    # What is too long for the suite is proved by a command of the Makefile; a picture is its own proof.
    proofs = ("`tests/", "*open*", "`make trials ONLY=", "`make bench", "`.ci/run`", ".png)")
    assert [row for row in rows if not any(proof in row for proof in proofs)] == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)} → {target}"
        for page in [ROOT / "README.md", *DOCS.rglob("*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def _tracked_texts() -> list[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    texts = []
    for name in filter(None, listed.decode().split("\0")):
        path = ROOT / name
        if path.is_file():
            texts.append((name, path.read_bytes().decode("utf-8", "replace")))
    return texts


def test_no_file_names_a_path_of_a_machine_or_a_registry() -> None:
    # Put together here, so that this file does not find itself.
    foreign = [
        re.escape(a + b) for a, b in (("/wo", "rk/"), ("/ro", "ot/"), ("/opt/", "wheels"), ("/opt/", "pypi"))
    ]
    foreign += [
        r"https?://[\w.]*" + host for host in ("pyp" + r"i\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.")
    ]
    pattern = re.compile("|".join(foreign))
    found = [(name, hit.group()) for name, text in _tracked_texts() for hit in pattern.finditer(text)]
    assert found == []
