"""No string without its translation: the keys that pages and code name, and what the pages of each language show."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from teleread.web.i18n import LANGUAGES, TEXTS
from tests.web.conftest import BASE, House, close_house, csrf, make_house

ROOT = Path(__file__).parents[2]
_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_SPOKEN_ATTRIBUTES = ("aria-label", "title", "placeholder", "alt")

#: Where the texts of a person's own data stand; everything else on a page is ours.
_PATHS = {
    "reader": ("/worklist", "/cases/{case}", "/styleguide", "/cases/00000000"),
    "coordinator": ("/coordination", "/contacts", "/contacts/midori"),
    "admin": ("/admin",),
    "midori": ("/status",),
}


def _keys_of_templates() -> Iterator[tuple[str, str, bool]]:
    for path in sorted((ROOT / "templates" / "web").glob("*.html")):
        source = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for key, joined in re.findall(r"""\bt\(\s*["']([\w.]+)["']\s*(~)?""", source):
            yield path.name, key, bool(joined)


def _keys_of_code() -> Iterator[tuple[str, str, bool]]:
    for path in sorted((ROOT / "teleread" / "web").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"text", "texts"}):
                continue
            prefix = getattr(node.func, "id", "") == "texts"
            for argument in node.args[1:2]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield path.name, argument.value, prefix
                elif isinstance(argument, ast.JoinedStr) and isinstance(argument.values[0], ast.Constant):
                    yield path.name, str(argument.values[0].value), True


def test_no_two_tables_have_one_key() -> None:
    tables = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "teleread" / "web").glob("*.py")]
    keys = [
        key.value
        for tree in tables
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "TEXTS"
        for key in getattr(node.value, "keys", [])
    ]
    assert set(keys) <= set(TEXTS), "a table that is not taken in"
    assert len(set(keys)) == len(keys)


def test_every_act_of_the_audit_log_has_words() -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "teleread").rglob("*.py")]
    acts = {act for source in sources for act in re.findall(r'\bact="([a-z_.]+)"', source)}
    assert len(acts) > 30
    assert sorted(act for act in acts if f"act.{act}" not in TEXTS) == []


def test_every_key_that_pages_and_code_name_has_both_languages() -> None:
    named = [*_keys_of_templates(), *_keys_of_code()]
    assert len(named) > 100
    missing = [
        (file, key)
        for file, key, is_prefix in named
        if not (any(one.startswith(key) for one in TEXTS) if is_prefix else key in TEXTS)
    ]
    assert missing == []
    # A name such as "teleread" or "English" is the same in both; a sentence in the other column is a slip.
    assert [
        key for key, (japanese, english) in TEXTS.items() if _JAPANESE.search(english) and japanese != english
    ] == []
    assert [
        key
        for key, (japanese, _) in TEXTS.items()
        if not _JAPANESE.search(japanese) and re.search(r"[a-z]{3,} [a-z]{3,}", japanese)
    ] == []


class _Words(HTMLParser):
    """Collects what a person sees or hears of a page, without the runs that say they are in another language."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        silent = tag in {"script", "style", "code"} or ("lang" in values and tag != "html")
        if tag not in {"meta", "link", "input", "br", "img", "use", "path", "rect", "circle", "progress"}:
            self._open.append((tag, silent))
        if not silent and not self._is_silent():
            self.found += [values[name] or "" for name in _SPOKEN_ATTRIBUTES if name in values]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._is_silent():
            self.found.append(data.strip())

    def _is_silent(self) -> bool:
        return any(silent for _, silent in self._open)


@pytest.fixture(scope="module")
def english_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = make_house(tmp_path_factory.mktemp("words"))
    yield made
    close_house(made)


def test_no_page_shows_words_of_the_other_language(english_data: House) -> None:
    case = english_data.study()
    others = {
        "ja": {english for japanese, english in TEXTS.values() if english != japanese and len(english) > 2},
        "en": {japanese for japanese, english in TEXTS.values() if english != japanese},
    }
    faults = []
    for person, paths in {None: ("/sign-in",), **_PATHS}.items():
        client = english_data.signed_in(person) if person else english_data.client()
        for path in paths:
            for language in LANGUAGES:
                form = {"language": language, "csrf_token": csrf(client, "/sign-in")}
                assert client.post("/preferences", base_url=BASE, data=form).status_code == 303
                answer = client.get(path.format(case=case), base_url=BASE)
                assert f'<html lang="{language}"' in answer.text
                words = _Words()
                words.feed(answer.text)
                faults += [
                    (path, language, one)
                    for one in words.found
                    if one in others[language] or (language == "en" and _JAPANESE.search(one))
                ]
    assert faults == []
