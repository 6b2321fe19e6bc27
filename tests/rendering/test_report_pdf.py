"""The report's PDF: the same bytes every time, archivable, tagged, with one empty field a page for each item of identity."""

import hashlib
import http.server
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pikepdf
import pytest

from teleread.errors import InvalidInput, Unavailable
from teleread.rendering.context import ReportContent, age_text, moment_text, study_time_text
from teleread.rendering.fetcher import OnlyOurs
from teleread.rendering.report_pdf import IDENTITY_FIELDS, RenderedReport, render_in_child, render_report
from teleread.resources import templates_folder

pytestmark = pytest.mark.centre

CONTENT = ReportContent(
    case_number="4MZ09D83",
    facility_name="あさひ岬クリニック",
    study_instance_uid="2.25.17",
    pseudonym="C36PV-4K2M7",
    study_date="20261123",
    study_time="162000.5",
    modality="CT",
    examination="胸部 単純",
    accession="A4Q0Z8K2M7PV3",
    image_count=576,
    sex="F",
    age="067Y",
    signer_name="例示 太郎",
    signer_licence="第000000号",
    signed_at_text="2026-11-23T17:52:00+00:00",
    centre_name="みどり画像診断センター（例示）",
    sections={"findings": "右肺上葉S2に 12.4×11.0 mm の結節を認める。", "impression": "原発性肺癌を疑う。"},
)
LONG = replace(
    CONTENT, sections={"findings": "\n".join(["結節を認める。"] * 120), "impression": "変化なし。"}
)


@cache
def plain() -> RenderedReport:
    """Render the content once for every test that only looks at it."""
    return render_report(CONTENT)


@cache
def long() -> RenderedReport:
    return render_report(LONG)


def opened(content: ReportContent = CONTENT) -> pikepdf.Pdf:
    made = {id(CONTENT): plain, id(LONG): long}.get(id(content), lambda: render_report(content))()
    return pikepdf.open(io.BytesIO(made.pdf))


def text_of(pdf: bytes) -> str:
    return subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()


def test_the_same_content_gives_the_same_bytes_in_another_process_on_another_day() -> None:
    first = plain()
    assert render_report(CONTENT).pdf == first.pdf
    assert first.sha256 == hashlib.sha256(first.pdf).hexdigest()
    program = (
        "import json, sys, time, datetime\n"
        "time.time = lambda: 2e9\n"
        "from teleread.rendering.context import ReportContent\n"
        "from teleread.rendering.report_pdf import render_report\n"
        "print(render_report(ReportContent.from_json(json.load(sys.stdin))).sha256)\n"
    )
    for seed, zone in (("1", "Asia/Tokyo"), ("2", "America/New_York")):
        other = subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(CONTENT.to_json()),
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": ":".join(sys.path), "LANG": "C.UTF-8"},
        )
        assert other.stdout.strip() == first.sha256


@pytest.mark.parametrize("field", ["examination", "facility_name"])
def test_a_text_that_no_cell_holds_is_printed_in_full_below_and_every_page_has_its_fields(field: str) -> None:
    rendered = render_report(replace(CONTENT, **{field: "胸部造影" * 1100 + "竟"}))
    assert rendered.pages > 2
    with pikepdf.open(io.BytesIO(rendered.pdf)) as pdf:
        places = {str(one.T): [float(number) for number in one.Rect] for one in pdf.Root.AcroForm.Fields}
    for name in IDENTITY_FIELDS:
        # The fields of following pages stand in their head, 48 mm from above on A4.
        assert places[f"{name}_page1"]
        following = [places[f"{name}_page{page}"] for page in range(2, rendered.pages + 1)]
        assert all(place == following[0] and place[1] > 842 - 136.1 for place in following)
    read = re.sub(r"\s", "", text_of(rendered.pdf))
    assert read.count("竟") == 1


def test_the_head_of_a_following_page_does_not_reach_into_its_text() -> None:
    rendered = render_report(replace(LONG, examination="胸部造影" * 16))
    lines = subprocess.run(
        ["pdftotext", "-bbox", "-f", "2", "-l", "2", "-", "-"],
        input=rendered.pdf,
        capture_output=True,
        check=True,
    ).stdout.decode()
    words = re.findall(r'yMin="([\d.]+)" xMax="[\d.]+" yMax="([\d.]+)">([^<]+)<', lines)
    head = max(float(bottom) for _, bottom, word in words if "胸部" in word)
    body = min(float(top) for top, _, word in words if word.startswith("結節"))
    assert head <= body


def test_another_content_gives_other_bytes() -> None:
    digests = {
        render_report(replace(CONTENT, **change)).sha256 for change in ({}, {"version": 2}, {"age": "068Y"})
    }
    assert len(digests) == 3


def test_it_says_that_it_is_pdf_a_3a_and_has_what_that_needs() -> None:
    with opened() as pdf:
        xmp = pdf.Root.Metadata.read_bytes().decode()
        assert 'pdfaid:part="3" pdfaid:conformance="A"' in xmp
        assert pdf.Root.OutputIntents[0].S == "/GTS_PDFA1"
        assert pdf.Root.MarkInfo.Marked
        assert str(pdf.Root.Lang) == "ja"
        assert str(pdf.docinfo["/Title"]) in xmp
        fonts = [font for page in pdf.pages for font in page.Resources.Font.values()]
        assert all("/FontFile2" in font.DescendantFonts[0].FontDescriptor for font in fonts)
        assert all("BIZ" in str(font.BaseFont) for font in fonts)


def test_every_page_has_its_own_empty_fields() -> None:
    for content in (CONTENT, LONG):
        with opened(content) as pdf:
            form = pdf.Root.AcroForm
            assert "/NeedAppearances" not in form
            names = [str(field.T) for field in form.Fields]
            pages = range(1, len(pdf.pages) + 1)
            wanted = [f"{name}_page{page}" for page in pages for name in IDENTITY_FIELDS]
            assert names == [*wanted, "reader_signature", "facility_signature"]
            assert len(set(names)) == len(names)
            for field in form.Fields:
                assert field.get("/V", "") == ""
                assert field.AP.N.Subtype == "/Form"
                assert b"Tj" not in field.AP.N.read_bytes()
            assert [str(name) for name in form.Fields[-1].Lock.Fields] == wanted


def test_the_fields_lie_inside_their_page_and_do_not_touch_each_other() -> None:
    with opened(LONG) as pdf:
        assert len(pdf.pages) >= 3
        for page in pdf.pages:
            rectangles = [
                tuple(float(number) for number in annotation.Rect)
                for annotation in page.Annots
                if annotation.FT == "/Tx"
            ]
            assert len(rectangles) == 5
            for left, bottom, right, top in rectangles:
                assert 0 < left < right < 595.3
                assert 0 < bottom < top < 842
                assert not [
                    other
                    for other in rectangles
                    if other != (left, bottom, right, top)
                    and other[0] < right
                    and other[2] > left
                    and other[1] < top
                    and other[3] > bottom
                ]


def test_all_marked_content_hangs_in_the_tag_tree() -> None:
    with opened(LONG) as pdf:
        tree = pdf.Root.StructTreeRoot
        reachable = set()
        waiting = [tree.K[0]]
        while waiting:
            element = waiting.pop()
            reachable.add(element.objgen)
            kids = element.get("/K", [])
            waiting += [kid for kid in kids if isinstance(kid, pikepdf.Dictionary)]
        numbers = tree.ParentTree.Nums
        leaves = [leaf for position in range(1, len(numbers), 2) for leaf in numbers[position]]
        assert leaves
        assert all(leaf.objgen in reachable for leaf in leaves)


def test_the_content_is_attached_and_its_digest_is_printed() -> None:
    rendered = plain()
    with pikepdf.open(io.BytesIO(rendered.pdf)) as pdf:
        assert list(pdf.attachments) == ["report.json"]
        attached = pdf.attachments["report.json"].get_file().read_bytes()
        assert len(pdf.Root.AF) == 1
    assert attached == CONTENT.canonical_json()
    assert ReportContent.from_json(json.loads(attached)) == CONTENT
    assert hashlib.sha256(attached).hexdigest() == CONTENT.digest()


@pytest.mark.poppler
def test_the_text_can_be_read_back_whole() -> None:
    text = re.sub(r"\s", "", text_of(plain().pdf))
    for wanted in (
        "画像診断報告書", "4MZ09D83", "確定第1版", "女67歳", "あさひ岬クリニック", "2026年11月23日16:20", "C36PV-4K2M7",
        "右肺上葉S2に12.4×11.0mmの結節を認める。", "原発性肺癌を疑う。", "例示太郎", "第000000号", "2026年11月24日02:52（JST）",
        CONTENT.digest()[:4].upper(), "1/1頁",
    ):  # fmt: skip
        assert wanted in text


@pytest.mark.poppler
def test_long_reports_carry_case_and_page_number_on_every_page() -> None:
    rendered = render_report(
        replace(LONG, language="en", status="preliminary", kind="correction", version=2, corrects_version=1)
    )
    pages = text_of(rendered.pdf).split("\f")[:-1]
    assert len(pages) == rendered.pages >= 3
    for number, page in enumerate(pages, start=1):
        flat = " ".join(page.split())
        assert f"page {number} / {rendered.pages}" in flat
        assert "4MZ0 9D83" in flat
        assert "Preliminary version 2 corrects version 1" in flat


@pytest.mark.poppler
def test_a_character_that_the_typeface_lacks_is_flagged_not_printed_as_a_box() -> None:
    rendered = render_report(
        replace(CONTENT, sections={"findings": "𠮷野 🦴 か\u3099", "impression": "髙﨑①Ⅱ㎜→"})
    )
    assert rendered.missing_glyphs == ("𠮷", "🦴")
    text = text_of(rendered.pdf)
    assert "〓野 〓 が" in text
    assert "髙﨑①Ⅱ㎜→" in text
    assert "U+20BB7, U+1F9B4" in text
    assert plain().missing_glyphs == ()


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """A web server that notes who asks."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_report_text_reaches_neither_network_nor_files(canary: tuple[str, list[str]]) -> None:
    address, asked = canary
    payloads = [
        f'<img src="{address}/img">',
        f'<link rel="attachment" href="{address}/att"><link rel="stylesheet" href="{address}/css">',
        f"<style>@import url({address}/import); p {{ background: url({address}/bg) }}</style>",
        f'<svg><image href="{address}/svg"/></svg><object data="{address}/object"></object>',
        '<img src="file:///etc/hostname"><a rel="attachment" href="file:///etc/hostname">x</a>',
        '{{ 7 * 7 }}{% include "/etc/hostname" %}',
        "</section></body><script>alert(1)</script>",
    ]
    texts = {
        name: getattr(CONTENT, name) + " ".join(payloads)
        for name in ("signer_name", "facility_name", "examination")
    }
    content = replace(CONTENT, sections={"findings": "\n".join(payloads), "impression": payloads[0]}, **texts)
    rendered = render_report(content)
    assert asked == []
    with pikepdf.open(io.BytesIO(rendered.pdf)) as pdf:
        assert list(pdf.attachments) == ["report.json"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "https://example.org/",
        "data:text/plain,x",
        "ftp://127.0.0.1/",
        "file:///etc/hostname",
        "file://server/share/x",
        "{folder}/../../../etc/hostname",
        "{folder}/%2e%2e/web/layout.html",
        "{folder}/fonts/../../web/layout.html",
    ],
)
def test_the_fetcher_refuses_everything_but_our_folder(url: str) -> None:
    folder = templates_folder() / "report"
    with pytest.raises(ValueError, match="own template folder"):
        OnlyOurs(folder).fetch(url.format(folder=folder.as_uri()))


def test_the_fetcher_reads_our_own_files() -> None:
    folder = templates_folder() / "report"
    answer = OnlyOurs(folder).fetch((folder / "report.css").as_uri())
    assert answer.read() == (folder / "report.css").read_bytes()
    answer.close()


def test_a_child_gives_the_same_bytes() -> None:
    assert render_in_child(CONTENT).pdf == plain().pdf


def test_a_child_that_needs_too_much_memory_is_an_error_and_nothing_more() -> None:
    # Long enough to need more than what lies free in the parent's own memory, whatever ran before.
    huge = replace(CONTENT, sections={"findings": "結節を認める。\n" * 20_000, "impression": "-"})
    with pytest.raises(Unavailable) as error:
        render_in_child(huge, memory_bytes=1 << 22)
    assert error.value.code == "render_failed"
    assert render_in_child(CONTENT).pages == 1


def test_a_child_that_takes_too_long_is_killed() -> None:
    endless = replace(CONTENT, sections={"findings": "結節を認める。\n" * 20_000, "impression": "-"})
    with pytest.raises(Unavailable):
        render_in_child(endless, seconds=1)


def test_a_content_survives_json_and_refuses_nonsense() -> None:
    data = CONTENT.to_json()
    assert ReportContent.from_json({**data, "later_field": 1}) == CONTENT
    for change in (
        {"language": "fr"},
        {"status": "draft"},
        {"kind": "letter"},
        {"version": "1"},
        {"sections": {"secret": "x"}},
        {"sections": []},
    ):
        with pytest.raises(InvalidInput):
            ReportContent.from_json({**data, **change})
    del data["pseudonym"]
    with pytest.raises(InvalidInput):
        ReportContent.from_json(data)


def test_words_for_ages_and_times() -> None:
    assert [age_text(age, "ja") for age in ("067Y", "006M", "010D", "", "x")] == [
        "67歳",
        "6か月",
        "10日",
        "",
        "x",
    ]
    assert study_time_text("20261123", "162000", "en") == "2026-11-23 16:20"
    assert study_time_text("", "", "ja") == ""
    assert moment_text("2026-11-23T17:52:00+00:00", "en") == "2026-11-24 02:52 JST"
    assert moment_text("昨日", "ja") == "昨日"


def test_the_templates_of_the_report_are_all_there() -> None:
    folder: Path = templates_folder() / "report"
    assert {path.name for path in folder.iterdir() if path.is_file()} >= {"radiology.html", "report.css"}
    assert {path.name for path in (folder / "fonts").iterdir()} >= {"OFL.txt", "BIZUDPGothic-Regular.ttf"}
