"""Query matching of PS3.4 C.2.2.2."""

import pytest

from teleread.dicom.attributes import BY_KEYWORD
from teleread.dicom.matching import Kind, answers, match_of, parse_query
from teleread.errors import InvalidInput


@pytest.mark.parametrize(
    ("keyword", "asked", "value", "expected"),
    [
        ("StudyDate", "20260511", "20260511", True),
        ("StudyDate", "20260501-20260531", "20260511", True),
        ("StudyDate", "20260501-", "20260511", True),
        ("StudyDate", "-20260501", "20260511", False),
        ("StudyTime", "1000-1015", "101559", True),
        ("StudyTime", "1000-1015", "101600", False),
        ("StudyDescription", "CT*", "CT CHEST", True),
        ("StudyDescription", "ct che?t", "CT CHEST", True),
        ("StudyDescription", "CT?", "CT CHEST", False),
        ("StudyDescription", "C.*", "CT CHEST", False),
        ("Modality", "CT,MR", "MR", True),
        ("Modality", "CT", "MR", False),
        ("PatientName", "c36pv-4k2m7", "C36PV-4K2M7", True),
        ("StudyInstanceUID", "1.2.3,1.2.4", "1.2.4", True),
        ("StudyInstanceUID", "1.2.3\\1.2.4", "1.2.5", False),
        ("StudyInstanceUID", "1.2.*", "1.2.3", False),
    ],
)
def test_matching(keyword: str, asked: str, value: str, expected: bool) -> None:
    match = match_of(BY_KEYWORD[keyword], asked)
    assert match is not None
    assert answers(match, [value]) is expected


@pytest.mark.parametrize("asked", ["", "*", '""', "  "])
def test_an_empty_value_matches_everything(asked: str) -> None:
    assert match_of(BY_KEYWORD["PatientID"], asked) is None


def test_a_whole_question_is_read() -> None:
    query = parse_query([
        ("00100020", "C36PV*"), ("ModalitiesInStudy", "CT"), ("includefield", "StudyDescription,00080090"), ("limit", "5000"),
        ("offset", "10"), ("fuzzymatching", "true"),
    ])  # fmt: skip
    assert [(match.attribute.keyword, match.kind) for match in query.matches] == [
        ("PatientID", Kind.WILDCARD),
        ("Modality", Kind.SINGLE),
    ]
    assert query.include == ("00081030", "00080090")
    assert (query.limit, query.offset, query.include_all) == (1000, 10, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NoSuchThing", "1"),
        ("StudyDate", "1-2-3"),
        ("StudyDate", "-"),
        ("limit", "-1"),
        ("offset", "x"),
        ("KVP", "120"),
    ],
)
def test_a_malformed_question_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidInput):
        parse_query([(name, value)])
