"""What PS3.15 Table E.1-1 says, read from a copy of the standard's own table and judged by pydicom's view of a file.

Nothing here asks the code under test. `make test` walks a seeded sample, ``make trials ONLY=profile`` all of it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pydicom
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.profile import FacilityKeys, Option, Profile
from tests.builders.datasets import ct_slice, write

KEYS = FacilityKeys(b"u" * 32, b"p" * 32)
TABLE = Path(__file__).parents[2] / "data" / "standard" / "ps3.15-table-E.1-1.json"

#: Column of the standard's table -> code of the option in CID 7050.
COLUMNS = {
    "rtnSafePrivOpt": "113111", "rtnUIDsOpt": "113110", "rtnDevIdOpt": "113109", "rtnInstIdOpt": "113112",
    "rtnPatCharsOpt": "113108", "rtnLongFullDatesOpt": "113106", "rtnLongModifDatesOpt": "113107",
    "cleanDescOpt": "113105", "cleanStructContOpt": "113104", "cleanGraphOpt": "113103",
}  # fmt: skip

#: Two rows that the copy lacks; an independent scrape of the standard of 2025 has them.
LATER = (
    {"id": "00102161", "name": "Ethnic Group Code Sequence", "basicProfile": "X"},
    {"id": "300a0054", "name": "Table Top Position Alignment UID", "basicProfile": "U", "rtnUIDsOpt": "K"},
)

#: Sets of options: none, each of the ten alone, what readers get, and all that do not contradict each other.
READING = ("113103", "113104", "113105", "113106", "113108", "113109")
OPTION_SETS: dict[str, tuple[str, ...]] = {
    "basic": (),
    **{code: (code,) for code in sorted(COLUMNS.values())},
    "reading": READING,
    "all, full dates": tuple(sorted(set(COLUMNS.values()) - {"113107"})),
    "all, modified dates": tuple(sorted(set(COLUMNS.values()) - {"113106"})),
}
DEPTHS = (0, 1, 3)

#: A value of each VR that stands for somebody's, and can be known again in the output.
VALUES: dict[str, Any] = {
    "AE": "SECRETAE", "AS": "067Y", "CS": "SECRETCODE", "DA": "20200102", "DT": "20200102030405.5+0900",
    "TM": "030405", "DS": "12.5", "IS": "125", "PN": "QUIET^PERSON", "UR": "urn:secret",
    "OB": b"SECRET", "OW": b"SECRET", "UN": b"SECRET", "US": 125, "SS": 125, "UL": 125, "SL": 125, "FL": 12.5,
    "FD": 12.5, "OF": b"\0\0\x48\x41", "OD": b"\1" * 8, "OL": b"\1" * 4, "AT": 0x00100010, "SV": 125, "UV": 125,
    "OV": b"\1" * 8,
}  # fmt: skip
TEXT_VRS = ("LO", "SH", "LT", "ST", "UC", "UT")

#: Rows that are not one public attribute of a dataset -> how they are put into one.
_GROUPS = {"50xxxxxx": 0x50003000, "60xx3000": 0x60023000, "60xx4000": 0x60024000}
_PRIVATE = "ggggeeee-where-gggg-is-odd"
#: Command, file meta and directory: no dataset has them, so they are gone; (0002,0003) is looked at in the file meta.
_ELSEWHERE = ("00001000", "00001001", "00020003", "00041511")
#: Written anew at the top level: a pseudonym, which the table's Z and Z/D allow (a dummy is a value of the VR).
_OURS = ("00100010", "00100020", "00080050")
#: The enclosed document itself: held at the top level, whatever its letter.
_DOCUMENT = "00420011"
#: Makes another patient of the same number, whose dates go back by other days.
_ISSUER = "00100021"


@dataclass(frozen=True, slots=True)
class Seen:
    """One row under one set of options at one depth."""

    row: str
    name: str
    options: str
    depth: int
    letters: str
    expected: tuple[str, ...]
    seen: str

    @property
    def right(self) -> bool:
        return self.seen in self.expected


def table() -> list[dict[str, str]]:
    """Return the rows of the standard's table."""
    rows: list[dict[str, str]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return [*rows, *LATER]


def letters_of(row: dict[str, str], codes: Iterable[str]) -> str:
    """Return the table's word for a row: a chosen option's C before its K before the Basic Profile's letters."""
    said = {row.get(column) for column, code in COLUMNS.items() if code in codes}
    return "C" if "C" in said else "K" if "K" in said else row["basicProfile"]


def tag_of(row: dict[str, str]) -> int:
    return _GROUPS.get(row["id"]) or int(row["id"], 16)


def vr_of(row: dict[str, str]) -> str:
    return {"50xxxxxx": "OW", "60xx3000": "OW", "60xx4000": "LT"}.get(row["id"]) or DicomDictionary[
        tag_of(row)
    ][0][:2]


#: Table E.1-1a in words. Z may be "a zero-length value, or a non-zero-length dummy value".
_MEANING = {
    "X": ("removed",), "Z": ("emptied", "replaced"), "D": ("replaced",), "K": ("kept",), "U": ("new UID",),
    "U*": ("new UID",), "C": ("cleaned",),
}  # fmt: skip


def expected(row: dict[str, str], codes: tuple[str, ...], depth: int) -> tuple[str, ...]:
    """Return what the table allows to be seen of a row."""
    letters = letters_of(row, codes)
    if row["id"] == _PRIVATE:
        return ("safe kept" if letters == "C" else "removed",)
    if row["id"] in _GROUPS:
        # Cleaning drawings means taking them away: text in an overlay cannot be searched.
        return ("removed",)
    if row["id"] in _ELSEWHERE:
        return ("removed",)
    if row["id"] == _DOCUMENT and depth == 0:
        return ("held",)
    if letters == "C" and "113107" in codes and row.get("rtnLongModifDatesOpt") == "C":
        # Dates go back by whole days; what tells a time of day or a zone stays, a binary time stamp cannot be shifted.
        vr = vr_of(row)
        if vr in ("DA", "DT"):
            return ("shifted",)
        if vr == "OB":
            letters = row["basicProfile"]
        else:
            return ("cleaned", "kept")
    return tuple(sorted({word for letter in letters.split("/") for word in _MEANING[letter]}))


def put(dataset: Dataset, row: dict[str, str], *, cleaned: bool) -> None:
    """Put a value that can be known again where the row says; with the patient's name in it if it is to be cleaned."""
    if row["id"] == _PRIVATE:
        secret = dataset.private_block(0x0009, "SECRET MAKER", create=True)
        secret.add_new(0x01, "LO", "secret")
        safe = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        safe.add_new(0x0C, "IS", "1000")
        safe.add_new(0x01, "LO", "secret")
        return
    vr, tag = vr_of(row), tag_of(row)
    if vr == "SQ":
        item = Dataset()
        item.CodeValue = "SECRETCODE"
        item.CodeMeaning = "secret meaning" + (" TAKASAKI" if cleaned else "")
        item.ReferencedSOPInstanceUID = "1.2.3.4.5.678"
        dataset.add_new(tag, "SQ", Sequence([item]))
    elif vr in TEXT_VRS:
        dataset.add_new(tag, vr, "secret" + (" TAKASAKI" if cleaned else f" {tag:08x}")[-9:])
    elif vr == "UI":
        # Of its own: a UID kept in one place and replaced in another is held, rightly.
        dataset.add_new(tag, vr, f"1.2.3.4.5.{tag}")
    else:
        dataset.add_new(tag, vr, VALUES[vr])


def _seen_private(after: Dataset) -> str:
    left = [element for element in after if element.tag.is_private]
    if not left:
        return "removed"
    values = {str(element.value) for element in left}
    return "safe kept" if values == {"SIEMENS MR HEADER", "1000"} else "private left"


def _seen_sequence(before: Dataset, after: Dataset, tag: int) -> str:
    items = after[tag].value
    if not items:
        return "emptied"
    old, new = before[tag].value[0], items[0]
    if new.get("CodeValue") != old.CodeValue:
        return "replaced" if "secret" not in str(new).lower() else "secret left"
    renewed = str(new.ReferencedSOPInstanceUID).startswith("2.25.")
    if new.CodeMeaning == old.CodeMeaning:
        return "kept, new UID inside" if renewed else "kept, UID inside"
    return "cleaned" if new.CodeMeaning == "secret meaning" else "replaced"


def _shift(before: str, after: str) -> int | None:
    """Return by how many days a date went back, None when something else became of it."""
    try:
        days = (date.fromisoformat(before[:8]) - date.fromisoformat(after[:8])).days
    except ValueError:
        return None
    return days if before[8:] == after[8:] else None


def seen(row: dict[str, str], before: Dataset, after: Dataset) -> str:
    """Return what has become of a row's attribute."""
    if row["id"] == _PRIVATE:
        return _seen_private(after)
    tag, vr = tag_of(row), vr_of(row)
    if tag not in after:
        return "removed"
    if vr == "SQ":
        return _seen_sequence(before, after, tag)
    element = after[tag]
    if element.is_empty:
        return "emptied"
    if element == before[tag]:
        return "kept"
    if vr == "UI":
        return "new UID" if str(element.value).startswith("2.25.") else "changed"
    if vr in ("DA", "DT"):
        days = _shift(str(before[tag].value), str(element.value))
        if days is not None and str(element.value) not in ("19000101", "19000101000000"):
            return f"shifted {days}"
    if vr in TEXT_VRS and str(element.value) == "secret":
        return "cleaned"
    return "replaced" if "secret" not in str(element.value).lower() else "secret left"


def _settled(word: str, row: dict[str, str], letters: str, codes: tuple[str, ...]) -> str:
    """Bring what was seen into the words of the table: a kept sequence keeps what its own rows keep."""
    if word.startswith("kept, "):
        with_uids = word == "kept, UID inside"
        if with_uids != ("113110" in codes):
            return word
        if letters.endswith("U*"):
            return "new UID"
        return "cleaned" if letters == "C" else "kept"
    if word == "new UID" and letters == "D":
        return "replaced"
    if word == "kept" and letters == "C" and vr_of(row) not in TEXT_VRS:
        # There is nothing of the patient in it to be cleaned of.
        return "kept" if row.get("rtnLongModifDatesOpt") == "C" and "113107" in codes else "cleaned"
    return word


def nested(inner: Dataset, depth: int) -> Dataset:
    """Return a dataset in which another lies that deep, in sequences that the table does not list."""
    for _ in range(depth):
        outer = Dataset()
        outer.SharedFunctionalGroupsSequence = Sequence([inner])
        inner = outer
    return inner


def walk(
    folder: Path, options: str, depth: int, rows: list[dict[str, str]], size: int = 40
) -> Iterator[Seen]:
    """Yield what becomes of rows; some of them together in a file, to be quick."""
    codes = OPTION_SETS[options]
    profile = Profile(frozenset(Option(code) for code in codes))
    alone = [row for row in rows if row["id"] in (_DOCUMENT, _ISSUER) or (row["id"] in _OURS and depth == 0)]
    together = [row for row in rows if row not in alone]
    days: set[str] = set()
    for part in [
        *([row] for row in alone),
        *(together[at : at + size] for at in range(0, len(together), size)),
    ]:
        before = Dataset()
        for row in part:
            if row["id"] not in _ELSEWHERE:
                put(before, row, cleaned=letters_of(row, codes) == "C")
        dataset = ct_slice()
        if depth or part[0]["id"] not in _OURS:
            dataset.update(nested(before, depth) if depth else before)
        source = write(dataset, folder / "in.dcm")
        target = folder / "out.dcm"
        target.unlink(missing_ok=True)
        result = deidentify_file(source, target, keys=KEYS, profile=profile, durable=False)
        after = pydicom.dcmread(target) if target.exists() else Dataset()
        for _ in range(depth):
            after = after.SharedFunctionalGroupsSequence[0]
        for row in part:
            letters = letters_of(row, codes)
            if result.outcome == "held":
                word = "held" if row["id"] == _DOCUMENT else f"held: {result.reason}"
            elif row["id"] in _OURS and depth == 0:
                ours = {str(after.PatientID), str(after.PatientName), str(after.AccessionNumber)}
                word = "replaced" if ours == {result.pseudonym, result.accession} else "changed"
            else:
                word = _settled(seen(row, before, after), row, letters, codes)
            if word.startswith("shifted "):
                days.add(word)
                # One number of days for all dates of the patient.
                word = (
                    "shifted" if len(days) == 1 and word != "shifted 0" else f"shifted unlike others: {days}"
                )
            yield Seen(
                row["id"],
                row["name"].split("\n", 1)[0],
                options,
                depth,
                letters,
                expected(row, codes, depth),
                word,
            )
