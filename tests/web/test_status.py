"""The doctor's status page: what has not arrived, and what the facility holds back and why."""

import html
from collections.abc import Iterator

import pytest

from gateway.reasons import REASONS
from teleread.dicom.deid.deidentify import HELD_REASONS
from teleread.web.i18n import TEXTS, text
from teleread.wire.manifest import HeldCount
from tests.web.conftest import BASE, House, close_house, make_house


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = make_house(tmp_path_factory.mktemp("status"))
    yield made
    close_house(made)


def test_the_status_page_counts_what_has_not_arrived_and_says_why_images_are_withheld(place: House) -> None:
    kind = "1.2.840.10008.5.1.4.1.1.7"
    held = tuple(
        HeldCount(reason=reason, sop_class_uid=kind, count=count)
        for reason, count in (("burned_in", 2), ("of_a_later_gateway", 1), ("burned_in", 3))
    )
    number = place.study("kita", missing=2, held=held)
    client = place.signed_in("kita")
    page = client.get("/status", base_url=BASE).text
    card = next(one for one in page.split('class="status-card"') if f'data-case="{number}"' in one)
    card = html.unescape(card)
    for words in (
        text("en", "status.arrived", images=3, expected=5),
        text("en", "status.missing", count=2),
        text("en", "status.withheld_total", count=6),
        text("en", "status.withheld_why", count=5, reason=HELD_REASONS["burned_in"]["en"]),
        text("en", "status.withheld_why", count=1, reason=text("en", "withheld.other")),
    ):
        assert words in card
    assert "of_a_later_gateway" not in page
    rows = client.get("/status", base_url=BASE, headers={"Accept": "application/json"}).json["rows"]
    row = next(one for one in rows if one["case_number"] == number)
    assert row["held_reasons"] == {"burned_in": 5, "of_a_later_gateway": 1}


def test_every_reason_of_a_gateway_has_its_words_at_the_centre() -> None:
    assert [code for code in REASONS if f"withheld.{code}" not in TEXTS and code != "unknown_study"] == []
