"""Text without the patient: every form of the identity is cut, and nothing else."""

import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from teleread.dicom.deid.identity import PatientIdentity
from teleread.dicom.deid.spelling import fold, folded_with_origin, half_width, hiragana, kana_of, romaji_of
from teleread.dicom.deid.tokens import tokens_of

PATIENT = PatientIdentity(
    patient_name="OHNO^SHOICHI=大野^彰一=オオノ^ショウイチ",
    patient_id="0071234-5",
    birth_date="19590514",
    accession_number="ACC-771234",
    phones=("03-1234-5678",),
    addresses=("〒107-0052 東京都港区赤坂1-2-3 赤坂荘101",),
)
TOKENS = tokens_of(PATIENT)

FAMILY_ROMAJI = ("Ohno", "Ono", "Oono", "Ōno", "OHNO", "ohno", "Ôno", "ＯＨＮＯ")
GIVEN_ROMAJI = ("Shoichi", "Shouichi", "Syoiti", "Shōichi", "SHOICHI", "syouiti")
BIRTH_DATES = (
    "1959/05/14", "1959-5-14", "19590514", "14.05.1959", "05/14/1959", "1959年5月14日", "１９５９年５月１４日", "S34.5.14", "Ｓ34/05/14",
    "昭和34年5月14日", "昭和３４年　５月１４日", "昭34.5.14", "昭和三十四年五月十四日", "S340514", "㍼34年5月14日", "14 May 1959", "May 14, 1959",
    "14-MAY-1959", "59/05/14", "1959. 5. 14",
)  # fmt: skip
NUMBERS = (
    "0071234-5", "00712345", "712345", "71234-5", "007 1234 5", "０071234-5", "ACC-771234", "acc771234", "03-1234-5678",
    "0312345678", "(03)1234-5678", "+81-3-1234-5678", "＋81 3 1234 5678",
)  # fmt: skip
ADDRESSES = (
    "東京都港区赤坂1-2-3 赤坂荘101",
    "港区赤坂1丁目2番3 赤坂荘101",
    "港区赤坂１－２－３　赤坂荘１０１",
)


def kana_forms(kana: str) -> list[str]:
    """Return a katakana word in each width, script and composition."""
    forms = [kana, hiragana(kana), half_width(kana), unicodedata.normalize("NFD", kana)]
    return [*forms, half_width(fold(kana)), hiragana(fold(kana))]


FAMILY = ("大野", *kana_forms("オオノ"), *FAMILY_ROMAJI)
GIVEN = ("彰一", *kana_forms("ショウイチ"), *GIVEN_ROMAJI)


def alike(family: str, given: str) -> bool:
    return family.isascii() == given.isascii()


whole_names = st.builds(
    lambda family, given, gap, turned: gap.join((given, family) if turned else (family, given)),
    st.sampled_from(FAMILY),
    st.sampled_from(GIVEN),
    st.sampled_from((" ", "　", "^", ", ", "・", "_", "-")),
    st.booleans(),
)
joined_names = st.sampled_from(
    [a + b for f in FAMILY for g in GIVEN if alike(f, g) for a, b in ((f, g), (g, f))]
)
forms = st.one_of(
    whole_names, joined_names, st.sampled_from((*FAMILY, *GIVEN, *BIRTH_DATES, *NUMBERS, *ADDRESSES))
)

#: Phrases of requests and protocols, with words that are names of somebody else somewhere.
PHRASES = (
    "胸部単純CT", "右肺上葉結節の経過", "造影なし", "陽子線治療後", "光子計数CT", "森田療法中", "林檎病の疑い", "腹部大動脈瘤 55mm", "8か月前のCTと比較",
    "前回 2025/11/02", "関節リウマチ", "松果体嚢胞", "海馬萎縮の有無", "左右差なし", "肺野条件 1mm", "鼻出血", "頭部MRI T2*", "血清Cr 0.8", "中島皮質",
    "はなぢ", "メモリー不足", "センター", "CT CHEST 5mm", "long axis view", "short axis cine", "T1 black blood", "white matter lesion",
    "Axial 0.625 STD", "CHEST^ROUTINE (Adult)", "kidney stone protocol", "head and neck", "hip joint", "rule out PE", "field of view 35",
    "3.0T MPR cor", "slice 71 of 234", "series 1234", "HU -1024", "no change since 2024-03-07", "b=1000 ADC", "follow-up 6 months",
)  # fmt: skip
phrases = st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(before=phrases, form=forms, behind=phrases)
@example(before="造影なし", form="オオノショウイチ", behind="胸部単純CT")
def test_any_form_of_the_patient_is_cut_and_every_other_character_stays(
    before: str, form: str, behind: str
) -> None:
    assert TOKENS.without(f"{before} {form} {behind}") == f"{before} {behind}"


@settings(max_examples=100, deadline=None)
@given(
    before=phrases,
    form=forms,
    behind=phrases,
    encoding=st.sampled_from(("utf-8", "cp932", "iso2022_jp", "euc_jp")),
)
def test_bytes_of_any_character_set_lose_the_patient_and_nothing_else(
    before: str, form: str, behind: str, encoding: str
) -> None:
    sets = {
        "utf-8": ("ISO_IR 192",),
        "cp932": ("ISO_IR 13",),
        "iso2022_jp": ("", "ISO 2022 IR 87"),
        "euc_jp": ("ISO_IR 100",),
    }
    try:
        value = f"{before} {form} {behind}".encode(encoding)
    except UnicodeEncodeError:
        return
    if value.isascii() and encoding != "iso2022_jp":
        return
    cleaned = TOKENS.cleaned(value, sets[encoding]).decode(encoding)
    if encoding == "euc_jp":
        # Under a wrong label kanji and romaji show in different readings, and are cut one after the other.
        cleaned = re.sub("[ 　^,・_-]+", " ", cleaned)
        before, behind = (re.sub("[ 　^,・_-]+", " ", each) for each in (before, behind))
    assert cleaned == f"{before} {behind}"


@pytest.mark.parametrize("phrase", PHRASES)
@pytest.mark.parametrize(
    "name",
    [
        "MORI^YOKO=森^陽子=モリ^ヨウコ", "HAYASHI^MITSUKO=林^光子=ハヤシ^ミツコ", "PARK^ROSE", "LONG^HANA==ロング^ハナ", "SMITH^ANN", "SEKI^HANA=関^花=セキ^ハナ",
        "NOSE^TAKE=能勢^武=ノセ^タケ", "SATO^KEN=佐藤^健=サトウ^ケン", "STONE^WHITE", "LEE^A", "CHEN^LI=陳^麗", "KIM^MIN=金^民=김^민",
    ],
)  # fmt: skip
def test_a_phrase_is_not_mangled_for_a_patient_who_is_called_like_a_word(name: str, phrase: str) -> None:
    tokens = tokens_of(PatientIdentity(patient_name=name, patient_id="00098765", birth_date="19481231"))
    assert tokens.without(phrase) == phrase
    value = phrase.encode("utf-8")
    assert tokens.cleaned(value, ("ISO_IR 192",)) is value


@pytest.mark.parametrize(
    ("name", "text", "rest"),
    [
        ("MORI^YOKO=森^陽子=モリ^ヨウコ", "森様の胸部", "様の胸部"),
        ("MORI^YOKO=森^陽子=モリ^ヨウコ", "患者:森 咳嗽", "患者: 咳嗽"),
        ("MORI^YOKO=森^陽子=モリ^ヨウコ", "陽子さん 陽子線治療後", "さん 陽子線治療後"),
        ("HAYASHI^MITSUKO=林^光子", "林 光子 光子計数CT", "光子計数CT"),
        ("PARK^ROSE", "Park, Rose: long axis", ": long axis"),
        ("PARK^ROSE", "Mrs Rose has pain", "Mrs has pain"),
        ("LONG^HANA", "Long Hana long axis", "long axis"),
        ("LI^NA", "ct of li na", "ct of"),
        ("Müller^Jürgen", "Herr Muller CT", "Herr CT"),
        ("Müller^Jürgen", "MÜLLER CT", "CT"),
        ("金^吉洞", "金吉洞 CT", "CT"),
        ("HONG^GILDONG=洪^吉洞=홍^길동", "홍길동 흉부", "흉부"),
        ("WANG^XIAODONG=王^小東", "王小東 胸部", "胸部"),
    ],
)
def test_a_doubtful_word_is_cut_where_the_text_says_that_it_is_a_name(
    name: str, text: str, rest: str
) -> None:
    assert tokens_of(PatientIdentity(patient_name=name)).without(text) == rest


@pytest.mark.parametrize(
    ("name", "text"),
    [("MORI^YOKO=森^陽子", "胸部 森 2回目"), ("PARK^ROSE", "rose, chest"), ("PARK^ROSE", "PARK")],
)
def test_a_doubtful_word_alone_is_not_cut_but_holds(name: str, text: str) -> None:
    tokens = tokens_of(PatientIdentity(patient_name=name))
    assert tokens.without(text) == text
    told = tokens.told_in(text)
    assert told is not None
    assert told[0] == "doubtful"


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("髙﨑", "高崎"),
        ("渡邊", "渡辺"),
        ("渡邉", "渡邊"),
        ("齋藤", "斎藤"),
        ("𠮷田", "吉田"),
        ("濵田", "浜田"),
        ("葛󠄀城", "葛城"),
        ("神﨑", "神崎"),
    ],
)
def test_variant_characters_are_the_same(written: str, known: str) -> None:
    for one, other in ((written, known), (known, written)):
        tokens = tokens_of(PatientIdentity(patient_name=f"={one}^花"))
        assert tokens.without(f"CT {other} 胸部") == "CT 胸部"


def test_what_the_request_says_is_looked_for_too() -> None:
    header = PatientIdentity(patient_name="OHNO^SHOICHI", patient_id="71234")
    order = PatientIdentity(patient_name="=大野^彰一=オオノ^ショウイチ", phones=("090-1111-2222",))
    text = "大野さん 090 1111 2222 胸部"
    assert tokens_of(header).without(text) == text
    assert tokens_of(header, (order,)).without(text) == "さん 胸部"


@pytest.mark.parametrize(
    ("patient_id", "text", "found"),
    [
        ("0000123", "ID 123", True), ("0000123", "ID:00123", True), ("0000123", "slice 123", False), ("0000123", "0000123", True),
        ("123456", "12-3456", True), ("123456", "1.2.123456.7", False), ("123456", "1234567", False), ("20260511", "2026-05-11", False),
        ("20260511", "20260511", True), ("1234", "03-1234-5678", False), ("A-12", "a12", True), ("A-12", "xa12", False), ("12", "12", False),
    ],
)  # fmt: skip
def test_a_number_is_the_patients_with_and_without_zeros_and_bars(
    patient_id: str, text: str, found: bool
) -> None:
    assert tokens_of(PatientIdentity(patient_id=patient_id)).in_text(text, own_only=True) is found


def test_people_around_the_patient_are_cut_and_do_not_hold() -> None:
    tokens = tokens_of(replace(PATIENT, people=("SUZUKI^JIRO",), institution_name="北病院中央"))
    assert tokens.without("Dr Suzuki 北病院中央 CT") == "Dr CT"
    assert tokens.told_in("Dr Suzuki CT") is None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_text_breaks_the_search_and_what_has_no_patient_stays(text: str) -> None:
    tokens = tokens_of(PatientIdentity(patient_name="QVXJZ^WQKPX", patient_id="Q9Z8X7W6V5"))
    assert tokens.without(text) == text
    folded, origin = folded_with_origin(text)
    assert len(folded) == len(origin)


@pytest.mark.parametrize(
    ("kana", "romaji"),
    [
        ("オオノ", {"oono", "ono"}),
        ("シヨウイチ", {"shouichi", "shoichi", "syouiti", "syoiti"}),
        ("ハツトリ", {"hattori"}),
        ("ジユンジ", {"junji", "zyunzi"}),
    ],
)
def test_kana_are_written_by_the_rules_of_hepburn_and_of_kunrei(kana: str, romaji: set[str]) -> None:
    assert romaji_of(kana) == romaji
    assert {kana_of(word) for word in romaji if len(word) == max(map(len, romaji))} <= {kana, fold(kana)}
