"""Every form in which a patient's identity could lie in a file, and the search for it."""

from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import Dataset

from teleread.demo.study import Patient

#: Full-width kana to half-width, as Shift_JIS writes them in one byte each.
_HALF_WIDTH = str.maketrans(
    {
        "か": "カ", "く": "ク", "う": "ウ", "が": "カ\uff9e", "わ": "ワ", "き": "キ", "り": "リ", "の": "ノ", "す": "ス", "け": "ケ",
    }
)  # fmt: skip
_NARROW = {"カ": "ｶ", "ク": "ｸ", "ウ": "ｳ", "ワ": "ﾜ", "キ": "ｷ", "リ": "ﾘ", "ノ": "ﾉ", "ス": "ｽ", "ケ": "ｹ"}


def half_width(hiragana: str) -> str:
    """Return the half-width katakana of the demo patient's kana."""
    return "".join(_NARROW.get(character, character) for character in hiragana.translate(_HALF_WIDTH))


def _words(patient: Patient) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield what it is, the text, and the encodings it could be written in."""
    alphabetic, ideographic, phonetic = patient.name.split("=")
    japanese = ("utf-8", "shift_jis", "euc_jp", "iso2022_jp", "utf-16-le", "utf-16-be")
    for part in (*ideographic.split("^"), *phonetic.split("^")):
        yield f"name {part}", part, japanese
    for part in phonetic.split("^"):
        yield f"half-width {part}", half_width(part), ("utf-8", "shift_jis")
    for part in alphabetic.split("^"):
        for written in (part, part.lower(), part.capitalize()):
            yield f"romaji {written}", written, ("ascii", "utf-16-le")
    yield "patient ID", patient.patient_id, ("ascii", "utf-16-le")
    yield "accession number", patient.accession_number, ("ascii", "utf-16-le")
    for birth_date in (patient.birth_date, "1957-03-14", "1957/03/14", "1957年3月14日", "1957年03月14日"):
        yield f"birth date {birth_date}", birth_date, ("utf-8", "utf-16-le")


def needles(patient: Patient, datasets: list[Dataset]) -> dict[str, bytes]:
    """Return what must not be found, by a name that says what and how it is written."""
    found: dict[str, bytes] = {}
    for what, text, encodings in _words(patient):
        for encoding in encodings:
            data = text.encode(encoding)
            if encoding == "iso2022_jp":
                data = data.removeprefix(b"\x1b$B").removesuffix(b"\x1b(B")
            # Up to three bytes stand in any large file by chance.
            if len(data) > 3:
                found[f"{what} in {encoding}"] = data
    for ds in datasets:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            found[f"UID {ds[keyword].value}"] = str(ds[keyword].value).encode("ascii")
    return found


def leaks(folder: Path, wanted: dict[str, bytes]) -> Iterator[str]:
    """Yield ``file: what`` for each needle found in any file below `folder`."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            yield from (
                f"{path.relative_to(folder)}: {what}" for what, needle in wanted.items() if needle in data
            )
