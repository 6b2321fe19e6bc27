"""The console's pure rules: search, dates, the wall of the request form, the track, and the words."""

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.console.request_form import CHOICES, REQUIRED, check, values_of
from gateway.console.scrub import identity_of_form, marks_in, pieces_of
from gateway.console.search import folded, haystack, matches, sort_key
from gateway.console.track import Counts, track_of
from gateway.console.words import TEXTS
from gateway.dates import age_on, parse_date, written_date
from teleread.domain.worklist import DisplayStatus
from teleread.errors import InvalidInput

ROOT = Path(__file__).parents[3]
TEXTS_OF = haystack("Takasaki^Kyouko=髙﨑^京子=タカサキ^キョウコ", "0012-3988", "", "ACC2")


@pytest.mark.parametrize(
    "query",
    [
        "たかさき", "タカサキ", "ﾀｶｻｷ", "takasaki", "ＴＡＫＡＳＡＫＩ", "たかさき きょうこ", "キヨウコ", "京子 髙﨑", "高崎", "00123988",
        "００１２－３９８８", "acc2",
    ],
)  # fmt: skip
def test_a_name_is_found_however_it_is_typed(query: str) -> None:
    assert matches(query, TEXTS_OF)


@pytest.mark.parametrize("query", ["", "   ", "・", "たなか", "髙﨑 太郎"])
def test_what_is_not_in_the_name_finds_nothing(query: str) -> None:
    assert not matches(query, TEXTS_OF)


@example("A´")
@given(st.text(max_size=40))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


def test_names_with_kana_come_in_the_order_of_the_fifty_sounds_and_the_others_after() -> None:
    names = ["Ito=伊藤=イトウ", "Abe=阿部=あべ", "Smith^John", "Kato=加藤=ｶﾄｳ"]
    assert sorted(names, key=sort_key) == ["Abe=阿部=あべ", "Ito=伊藤=イトウ", "Kato=加藤=ｶﾄｳ", "Smith^John"]


def test_the_order_of_the_fifty_sounds_is_that_of_a_japanese_index() -> None:
    ordered = [
        "=阿部^幸=アベ^サチ", "=阿部^悠=アベ^ユウ", "=安倍井^幸=アベイ^サチ", "Ohno^Shoichi", "=大野^翔=オオノ^ショウ", "=ガウディ^愛=ガウディ^アイ",
        "=加賀^愛=カガ^アイ", "=香川^愛=カガワ^アイ", "=柿^愛=カキ^アイ", "=鍵^愛=カギ^アイ", "=森^鷗外=もり^おうがい", "=𠮷田^花=ﾖｼﾀﾞ^ﾊﾅ", "Smith^John",
        "=王^小東=",
    ]  # fmt: skip
    shuffled = ordered[::-1]
    assert sorted(shuffled, key=sort_key) == ordered
    assert sort_key("=柿^愛=カキ^アイ") < sort_key("=鍵^愛=カギ^アイ") < sort_key("=垣田^愛=カキタ^アイ")
    assert sort_key("=河野=コーノ")[1] == sort_key("=河野=コオノ")[1]
    assert sort_key("Abe^Sachi") < sort_key("=阿部^悠=アベ^ユウ") < sort_key("Smith^John")


@pytest.mark.parametrize(
    "text",
    ["1959-05-14", "19590514", "1959/5/14", "1959年5月14日", "S34.5.14", "s34-05-14", "昭和34年5月14日", "昭和３４年　５月１４日"],
)  # fmt: skip
def test_a_date_is_read_as_people_write_it(text: str) -> None:
    assert parse_date(text, field="birth_date") == "19590514"


@pytest.mark.parametrize(
    ("text", "day"),
    [("令和元年5月1日", "20190501"), ("昭和64年1月7日", "19890107"), ("H31.4.30", "20190430")],
)
def test_the_ends_of_the_eras(text: str, day: str) -> None:
    assert parse_date(text, field="x") == day


@pytest.mark.parametrize(
    "text", ["", "1959", "1959-13-01", "昭和64年1月8日", "平成元年1月7日", "R0.1.1", "X1.1.1", "31/12/1999"]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_date(text, field="x")


@given(st.dates(min_value=date(1873, 1, 1), max_value=date(2100, 1, 1)))
def test_a_written_date_is_read_back(day: date) -> None:
    value = day.strftime("%Y%m%d")
    assert parse_date(written_date(value, "ja").split("（")[0], field="x") == value
    assert parse_date(written_date(value, "en"), field="x") == value


def test_age_counts_full_years() -> None:
    assert age_on("19590514", date(2026, 5, 13)) == 66
    assert age_on("19590514", date(2026, 5, 14)) == 67
    assert age_on("", date(2026, 5, 14)) is None


IDENTITY = identity_of_form(
    name="見本　桜子",
    kana="ミホン サクラコ",
    patient_id="0012-3456",
    birth_date="19590514",
    accession="A2611-0457",
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("見本さんのご家族も希望", ["見本"]),
        ("ﾐﾎﾝさん", ["ﾐﾎﾝ"]),
        ("さくらこ様", ["さくらこ"]),
        ("ID ００１２－３４５６ の方", ["００１２－３４５６"]),
        ("S34.5.14生", ["S34.5.14"]),
        ("昭和34年5月14日生まれの患者", ["昭和34年5月14日"]),
        ("前回 A2611-0457", ["A2611-0457"]),
        ("8か月前のCTで8 mmの結節。悪性を疑う。", []),
    ],
)
def test_the_patient_is_found_in_free_text(text: str, found: list[str]) -> None:
    assert [mark.text for mark in marks_in(text, IDENTITY)] == found


@given(st.text(alphabet="見本桜子ｶﾞﾊﾟさくらこ㈱ABC0123-5 \n", max_size=60))
def test_the_pieces_are_the_text(text: str) -> None:
    assert "".join(piece for piece, _ in pieces_of(text, marks_in(text, IDENTITY))) == text


FORM = {
    "patient_id": "００１２－３４５６",
    "name": "見本 桜子",
    "kana": "ミホン サクラコ",
    "birth_date": "S34.5.14",
    "sex": "F",
    "modality": "CT",
    "body_part": "胸部",
    "contrast": "none",
    "priority": "urgent",
    "clinical_question": "右肺上葉結節の増大の有無。",
    "responsible_doctor": "例示 五郎",
    "callback_phone": "内線 ２２１０",
}


def form_of(**changes: str) -> dict[str, str]:
    return values_of({**FORM, **changes})


def test_a_whole_form_may_leave_and_is_tidied() -> None:
    checked = check(form_of(extra="x", role="administrator"), today=date(2026, 11, 23))
    assert checked.may_leave
    assert checked.birth_date == "19590514"
    assert checked.values["patient_id"] == "0012-3456"
    assert set(checked.values) & {"extra", "role"} == set()


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_needed_is_asked_for(name: str) -> None:
    assert check(form_of(**{name: " "}), today=date(2026, 11, 23)).problems == {name: "problem.missing"}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("birth_date", "昭和99年1月1日", "problem.no_such_day"),
        ("birth_date", "2030-01-01", "problem.future"),
        ("history", "あ" * 10_001, "problem.too_long"),
        ("priority", "tomorrow", "problem.choice"),
        ("study_date", "きのう", "problem.no_date"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_cut(name: str, text: str, problem: str) -> None:
    checked = check(form_of(**{name: text}), today=date(2026, 11, 23))
    assert checked.problems == {name: problem}
    assert checked.values[name] == text


def test_a_doctor_of_the_same_family_name_is_no_leak_but_the_patients_whole_name_is() -> None:
    assert check(form_of(responsible_doctor="見本 一郎"), today=date(2026, 11, 23)).may_leave
    assert "department" in check(form_of(department="見本桜子"), today=date(2026, 11, 23)).marks


def test_every_reasonable_mark_stops_the_form() -> None:
    for name in ("clinical_question", "history", "body_part", "examination"):
        checked = check(form_of(**{name: "みほんさくらこ"}), today=date(2026, 11, 23))
        assert name in checked.marks
        assert not checked.may_leave


def looks(**arguments: object) -> list[str]:
    defaults: dict[str, object] = {"uploaded": False, "display_status": "", "deliveries": ()}
    counts = arguments.pop("counts", Counts(acknowledged=3))
    return [disc.look for disc in track_of(counts, **{**defaults, **arguments})]  # type: ignore[arg-type]


def test_the_track_goes_from_left_to_right() -> None:
    assert looks(counts=Counts(received=1)) == ["now", "next", "next", "next", "next"]
    assert looks(counts=Counts(clean=1)) == ["past", "now", "next", "next", "next"]
    assert looks(counts=Counts(held=1)) == ["held", "next", "next", "next", "next"]
    assert looks(uploaded=True, display_status="reading") == ["past", "past", "now", "next", "next"]
    assert looks(uploaded=True, display_status="final") == ["past", "past", "past", "now", "next"]
    assert looks(display_status="final", deliveries=("held",)) == ["past", "past", "past", "held", "next"]
    assert looks(display_status="delivered", deliveries=("delivered",)) == ["past"] * 4 + ["now"]
    assert looks(display_status="acknowledged", deliveries=("delivered",)) == ["past"] * 5


@pytest.mark.parametrize("status", ["", *DisplayStatus])
@pytest.mark.parametrize("delivery", ["", "ready", "in_transit", "retrying", "held", "failed", "delivered"])
def test_every_state_has_its_discs_and_their_words(status: str, delivery: str) -> None:
    deliveries = (delivery,) if delivery else ()
    discs = track_of(Counts(acknowledged=1), uploaded=True, display_status=status, deliveries=deliveries)
    assert len(discs) == 5
    assert all(disc.word in TEXTS for disc in discs)


def test_both_languages_say_everything_with_the_same_places() -> None:
    for key, (japanese, english) in TEXTS.items():
        assert japanese.strip()
        assert english.strip()
        assert set(re.findall(r"{(\w+)}", japanese)) == set(re.findall(r"{(\w+)}", english)), key
        assert not re.search(r"[ぁ-んァ-ン一-龥]", english.replace("患者", "")), key


def test_no_word_stands_in_a_template_and_every_key_of_one_is_in_the_table() -> None:
    for path in sorted((ROOT / "templates" / "gateway").glob("*.html")):
        text = path.read_text("utf-8")
        plain = re.sub(r"{[{%#].*?[}%#]}", "", text, flags=re.DOTALL)
        assert set(re.findall(r"[ぁ-んァ-ン一-龥]+", plain)) <= {"日本語"}, path.name
        for key in re.findall(r"""\bt\("([a-z_.]+[a-z_])"[,)\s]""", text):
            assert key in TEXTS, (path.name, key)


def test_every_choice_has_its_word() -> None:
    for name in ("sex", "contrast", "priority"):
        assert all(f"{name}.{value}" in TEXTS for value in CHOICES[name])
