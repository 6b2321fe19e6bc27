"""Every public sample of the project's data folder through the de-identification. Runs where that folder is."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from teleread.dicom.deid.deidentify import HELD_REASONS, deidentify_file
from teleread.dicom.deid.profile import FacilityKeys
from tests.dicom.deid import oracle

SHARED = Path(
    os.environ.get("TELEREAD_SHARED_DICOM", Path(__file__).parents[3] / "shared" / "data" / "dicom")
)
KEYS = FacilityKeys(b"u" * 32, b"p" * 32)

pytestmark = [
    pytest.mark.skipif(
        not SHARED.is_dir(), reason="the folder of public samples is not beside this checkout"
    ),
    pytest.mark.filterwarnings("ignore"),
]

COUNTED = {"CT", "MR", "CR", "NM", "RTDOSE", "RTPLAN", "RTSTRUCT", "RTIMAGE", "RTRECORD"}
#: Broken on purpose by their makers.
UNREADABLE = {"not_dicom", "truncated", "unreadable", "too_deep", "too_large"}


def samples() -> list[Path]:
    if not SHARED.is_dir():
        return []
    return sorted(path for path in SHARED.rglob("*") if path.is_file() and path.suffix != ".md")


def original(path: Path) -> Dataset:
    return pydicom.dcmread(path, force=True)


def pieces_of_identity(dataset: Dataset) -> set[bytes]:
    """This test's own idea of what names a patient, from pydicom's view of the file."""
    pieces: set[str] = set()
    names = [str(dataset.get("PatientName", ""))]
    for name in names:
        pieces |= {
            part for part in re.split(r"[\^=\s,.]+", name) if len(part) >= (4 if part.isascii() else 2)
        }
    for keyword in ("PatientID", "AccessionNumber", "PatientBirthDate"):
        value = str(dataset.get(keyword, ""))
        if len(value) >= 6:
            pieces.add(value)
    found = {
        piece.encode(encoding, "ignore")
        for piece in pieces
        for encoding in ("utf-8", "cp932", "euc_jp", "gb18030")
    }
    for element in dataset.iterall():
        if element.VR == "UI" and element.keyword.endswith("InstanceUID") and element.value:
            values = (
                element.value
                if isinstance(element.value, (list, pydicom.multival.MultiValue))
                else [element.value]
            )
            found |= {str(uid).encode() for uid in values if not str(uid).startswith("1.2.840.10008.")}
    return {piece.lower() for piece in found if len(piece) >= 4}


def header_bytes(dataset: Dataset, data: bytes) -> bytes:
    pixels = dataset.get("PixelData")
    return (data.replace(pixels, b"") if pixels else data).lower()


def tell(**figures: object) -> None:
    """Hand figures to `make trials`, which prints them."""
    if "TELEREAD_FIGURES" in os.environ:
        with Path(os.environ["TELEREAD_FIGURES"]).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(figures) + "\n")


def test_every_file_is_clean_or_held_with_a_reason_and_nothing_leaks(tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    counted = stored = 0
    leaks, changed = [], []
    for number, path in enumerate(samples()):
        target = tmp_path / f"{number}.dcm"
        result = deidentify_file(path, target, keys=KEYS)
        outcomes[result.reason or "clean"] += 1
        assert result.outcome == "clean" or result.reason in HELD_REASONS
        identity = result.identity
        if (
            identity is not None
            and identity.modality in COUNTED
            and identity.patient_id
            and result.reason not in UNREADABLE
        ):
            counted += 1
            stored += result.outcome == "clean"
        if result.outcome == "held":
            assert not target.exists()
            continue
        before, after, data = original(path), pydicom.dcmread(target), target.read_bytes()
        head = header_bytes(after, data)
        leaks += [(path.name, piece) for piece in pieces_of_identity(before) if piece in head]
        if "PixelData" in before:
            digests = {hashlib.sha256(each.PixelData).hexdigest() for each in (before, after)}
            changed += [path.name] if len(digests) > 1 else []
        assert data[:128] == bytes(128)
        assert not [element for element in after.iterall() if element.tag.is_private]
    tell(
        files=outcomes.total(),
        outcomes=dict(outcomes),
        readable_ct_mr_cr_nm_rt=counted,
        of_them_clean=stored,
        leaks=len(leaks),
        pixel_bytes_changed=len(changed),
    )
    assert leaks == []
    assert changed == []
    assert counted >= 60
    assert stored / counted >= 0.98, (stored, counted, outcomes)


def references(dataset: Dataset, path: tuple[int, ...] = ()) -> list[tuple[tuple[int, ...], str]]:
    """Return (tags on the way, UID) of every element that refers: VR UI below the top level, or of a frame."""
    found: list[tuple[tuple[int, ...], str]] = []
    for element in dataset:
        here = (*path, int(element.tag))
        if element.VR == "SQ":
            for item in element.value:
                found += references(item, here)
        elif element.VR == "UI" and element.value and (path or element.keyword == "FrameOfReferenceUID"):
            values = element.value if element.VM > 1 else [element.value]
            found += [(here, str(uid)) for uid in values]
    return found


def test_references_among_instances_of_a_study_still_resolve(tmp_path: Path) -> None:
    letters = {row["id"].upper(): oracle.letters_of(row, oracle.READING) for row in oracle.table()}

    def goes(path: tuple[int, ...]) -> bool:
        # Removed or emptied by the table with all that is in it: (0008,1110), (0008,1111), (0008,1120), private, ...
        return any(
            tag & 0x10000
            or (letters.get(f"{tag:08X}", "")[:1] in ("X", "Z") and "U" not in letters[f"{tag:08X}"])
            for tag in path
        )

    clean: list[tuple[Path, Dataset, Dataset]] = []
    new: dict[str, str] = {}
    for number, path in enumerate(samples()):
        target = tmp_path / f"{number}.dcm"
        if deidentify_file(path, target, keys=KEYS, durable=False).outcome == "clean":
            before, after = (
                pydicom.dcmread(each, stop_before_pixels=True, force=True) for each in (path, target)
            )
            clean.append((path, before, after))
            for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
                if before.get(keyword):
                    new[str(before[keyword].value)] = str(after[keyword].value)
    resolved = gone = 0
    broken = []
    for path, before, after in clean:
        wanted: Counter[tuple[tuple[int, ...], str]] = Counter()
        for way, uid in references(before):
            if uid in new and not uid.startswith("1.2.840.10008."):
                if goes(way):
                    gone += 1
                else:
                    wanted[way, new[uid]] += 1
        missing = wanted - Counter(references(after))
        resolved += wanted.total() - missing.total()
        broken += [(path.name, [f"{tag:08X}" for tag in way]) for way, _ in missing]
    tell(
        references_resolved=resolved, references_in_what_the_table_removes=gone, references_broken=len(broken)
    )
    assert resolved >= 100
    assert broken == []


#: The checker cannot inflate, and sees elements of VR UN only when they have come out with their own VR.
NOT_COMPARABLE = {"CT_small_deflated.dcm", "image_dfl.dcm", "wave_dfl", "report_dfl", "explicit_VR-UN.dcm"}


def standard_errors(path: Path) -> set[str]:
    checker = Path(sys.executable).parent / "dciodvfy"
    answer = subprocess.run([checker, "-new", path], capture_output=True, check=False, timeout=60)
    return {
        re.sub(r"<[^>]*>|[0-9]+", "", line)
        for line in answer.stderr.decode("latin-1").splitlines()
        if line.startswith("Error")
    }


@pytest.mark.skipif(
    not (Path(sys.executable).parent / "dciodvfy").exists(), reason="dicom3tools is not installed"
)
def test_the_objects_have_no_new_errors_against_their_iod(tmp_path: Path) -> None:
    worse: dict[str, set[str]] = {}
    compared = fewer = 0
    for number, path in enumerate(samples()):
        target = tmp_path / f"{number}.dcm"
        if deidentify_file(path, target, keys=KEYS).outcome == "clean" and path.name not in NOT_COMPARABLE:
            errors, had = standard_errors(target), standard_errors(path)
            compared += 1
            fewer += bool(had - errors)
            if errors - had:
                worse[path.name] = errors - had
    tell(dciodvfy_compared=compared, with_new_errors=len(worse), with_fewer_errors=fewer)
    assert worse == {}
