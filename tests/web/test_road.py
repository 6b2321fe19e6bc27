"""A reader's road over the pages: worklist, claim, images, draft, review, signature."""

import hashlib

import pytest
from flask.testing import FlaskClient

from tests.web.conftest import BASE, PASSWORD, House, csrf

SECTIONS = {"findings": "A nodule of 12 mm 🦴.", "impression": "Nodule."}


@pytest.mark.usefixtures("without_the_viewer")
def test_a_case_is_claimed_written_reviewed_and_signed(house: House, reader: FlaskClient) -> None:
    number = house.study()
    rows = reader.get("/worklist", base_url=BASE, headers={"Accept": "application/json"}).json["rows"]
    assert [row["state"] for row in rows if row["case_number"] == number] == ["unassigned"]
    assert number[:4] in reader.get("/worklist", base_url=BASE).text

    page = f"/cases/{number}"
    token = csrf(reader, page)
    claimed = reader.post(f"{page}/claim", base_url=BASE, data={"csrf_token": token})
    assert claimed.status_code == 303

    text = reader.get(page, base_url=BASE).text
    assert "data-editor" in text
    frame = text.split("/frames/")[1].split("&#34;")[0]
    picture = reader.get(f"{page}/frames/{frame}", base_url=BASE)
    assert picture.content_type == "image/png"

    saved = reader.post(
        f"{page}/draft",
        base_url=BASE,
        json={"base_revision": 0, "sections": SECTIONS},
        headers={"X-CSRFToken": token},
    )
    assert saved.json["revision"] == 1
    assert saved.json["missing"] == {"findings": "🦴"}
    assert "typeface lacks 🦴: it is printed as 〓" in reader.get(page, base_url=BASE).text

    asked = reader.post(f"{page}/review", base_url=BASE, data={"revision": "1", "csrf_token": token})
    assert asked.status_code == 303, asked.text
    review = asked.headers["Location"]
    waiting = reader.get(review, base_url=BASE)
    assert "disabled" in waiting.text
    assert reader.get(f"{review}/pdf", base_url=BASE).status_code == 404
    house.render()
    ready = reader.get(review, base_url=BASE, headers={"Accept": "application/json"}).json
    assert ready["state"] == "ready"
    assert "disabled" not in reader.get(review, base_url=BASE).text
    assert ready["missing_glyphs"] == "🦴"
    assert "so the PDF cannot show them: 🦴" in reader.get(review, base_url=BASE).text
    pdf = reader.get(f"{review}/pdf", base_url=BASE)
    assert hashlib.sha256(pdf.data).hexdigest() == ready["pdf_sha256"]

    form = {
        "rendering_id": review.rpartition("/")[2],
        "pdf_sha256": ready["pdf_sha256"],
        "seen_pages": "",
        "password": "wrong",
        "totp": "000000",
        "csrf_token": token,
    }
    wrong = form | {"seen_pages": str(ready["pages"])}
    assert reader.post(f"{page}/sign", base_url=BASE, data=wrong).status_code == 403
    form |= {"password": PASSWORD, "totp": house.code("reader")}
    unseen = reader.post(f"{page}/sign", base_url=BASE, data=form)
    assert unseen.status_code == 409
    assert "Nothing was signed" in unseen.text
    form |= {"seen_pages": str(ready["pages"]), "totp": house.code("reader")}
    signed = reader.post(f"{page}/sign", base_url=BASE, data=form)
    assert signed.status_code == 303, signed.text
    assert reader.get(f"{page}/signed", base_url=BASE).status_code == 200
    # The worker has not put the signature under it yet: there is nothing to show, and nothing to record.
    assert reader.get(f"{page}/signed/pdf", base_url=BASE).status_code == 404
    again = reader.post(f"{page}/sign", base_url=BASE, data=form, headers={"Accept": "application/json"})
    assert again.json["already_signed"] is True
    late = reader.post(
        f"{page}/draft",
        base_url=BASE,
        json={"base_revision": 1, "sections": SECTIONS | {"impression": "Changed."}},
        headers={"X-CSRFToken": token},
    )
    assert late.status_code == 409
