"""A page that people open has a picture in `docs/screens`, in both languages and both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from teleread.settings import ServerSettings
from teleread.up import prepare
from teleread.web.app import create_app
from tests.screens import FOLDER, LANGUAGES, THEMES
from tests.web.walk import SHOWN

pytestmark = pytest.mark.centre

ROOT = Path(__file__).parents[2]

#: Routes for GET that show no page of their own, and why.
NO_PAGE = {
    "auth.session_lives": "JSON",
    "auth.home": "leads to the role's first page",
    "admin.audit_export": "a CSV file",
    "coordination.board": "the inner part of the board, fetched by it",
    "fonts.font": "a font",
    "health.healthz": "for supervisors",
    "live.changes": "JSON",
    "readings.frame": "an image",
    "reports.review_pdf": "a PDF inside the review",
    "reports.signed_pdf": "a PDF inside the page of the signed report",
    "static": "files",
    "viewer.file": "the viewer's own files",
    "viewer.page": "the viewer's frame, shown inside the case page",
    "viewer.not_found": "one sentence inside the viewer's frame",
    "enrolment.ca_certificate": "a certificate",
} | dict.fromkeys(("qido", "wado", "case_root"), "DICOMweb")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    settings = ServerSettings.from_env({"TELEREAD_DATA": str(tmp_path_factory.mktemp("centre"))})
    prepare(settings)
    made = create_app(settings)
    made.extensions["teleread"].renderer.close()
    made.extensions["teleread"].engine.dispose()
    return made


def test_every_page_of_the_url_map_is_shown(app: Flask) -> None:
    routes = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    pages = {one for one in routes if one not in NO_PAGE and one.partition(".")[0] not in NO_PAGE}
    assert pages - set(SHOWN.values()) == set(), "give tests/web/walk.py a page, then `make screens`"
    assert set(SHOWN.values()) - routes == set()


def test_every_picture_is_there_in_both_languages_and_themes_and_no_other() -> None:
    wanted = {
        f"{name}-{theme}-{language}.png" for name in SHOWN for theme in THEMES for language in LANGUAGES
    }
    there = {path.name for path in FOLDER.glob("*.png") if not path.name.startswith("console-")}
    assert there == wanted, "run `make screens`"
    assert sum(path.stat().st_size for path in FOLDER.glob("*.png")) < 8_000_000


def test_the_page_of_pictures_shows_every_one() -> None:
    named = set(re.findall(r"screens/([\w-]+\.png)", (ROOT / "docs" / "screens.md").read_text("utf-8")))
    assert named == {path.name for path in FOLDER.glob("*.png")}, "run `make screens`"
