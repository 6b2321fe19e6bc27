"""Every public sample out of the facility and home again, by both ways; judged by bytes and by pydicom."""

import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pydicom

from gateway.folders import deidentify_folder, reidentify_folder
from gateway.keys import seal_no_originals, seal_originals_for
from gateway.layout import Layout
from teleread import clock
from teleread.dicom.deid.encrypted import make_recipient

#: What the vault has to bring back with its very bytes, wherever the original has it.
BY_VAULT = (
    "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "PatientBirthDate",
    "StudyDate", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
)  # fmt: skip


def _sent_out(source: Path, folder: Path, *, sealed: bool) -> tuple[Layout, dict[str, Any]]:
    layout = Layout(folder / "data")
    layout.make()
    if sealed:
        own = make_recipient("trial", at=clock.now())
        seal_originals_for(layout, own, own.certificate_pem)
    report = deidentify_folder(source, folder / "out", layout.data)
    return layout, {row["output"]: row for row in report["files"] if row["outcome"] == "clean"}


def sealed_ones(source: Path, folder: Path) -> dict[str, Any]:
    """Return how many originals come back byte for byte with the vault destroyed."""
    layout, clean = _sent_out(source, folder, sealed=True)
    for beside in ("", "-wal", "-shm"):
        layout.vault_database.with_name(layout.vault_database.name + beside).unlink(missing_ok=True)
    rows = reidentify_folder(folder / "out", folder / "back", layout.data)["files"]
    outcomes = Counter(
        "byte_for_byte" if row["output_sha256"] == clean[row["input"]]["input_sha256"]
        else "+".join(row["missing"]) or row["reason"]
        for row in rows
    )  # fmt: skip
    seal_no_originals(layout)
    return {"clean": len(clean), "back": dict(outcomes)}


def known_ones(source: Path, folder: Path) -> dict[str, Any]:
    """Return how many objects have identity bytes and UIDs of the original again, by the vault alone."""
    layout, clean = _sent_out(source, folder, sealed=False)
    rows = reidentify_folder(folder / "out", folder / "back", layout.data)["files"]
    outcomes = Counter[str]()
    different: dict[str, list[str]] = {}
    for row in rows:
        if not row["output"]:
            outcomes[row["reason"]] += 1
            continue
        name = clean[row["input"]]["input"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = pydicom.dcmread(source / name, force=True)
            after = pydicom.dcmread(folder / "back" / row["output"], force=True)
        wrong = [keyword for keyword in BY_VAULT if _bytes(before, keyword) != _bytes(after, keyword)]
        outcomes["different" if wrong else "same"] += 1
        if wrong:
            different[name] = wrong
    return {"clean": len(clean), "back": dict(outcomes), "different": different}


def _bytes(ds: pydicom.Dataset, keyword: str) -> bytes:
    value = ds.get_item(keyword).value if keyword in ds else b""
    raw = (
        value
        if isinstance(value, bytes)
        else "\\".join([value] if isinstance(value, str) else value or []).encode()
    )
    return raw.rstrip(b" \0")


def home(source: Path, folder: Path) -> bool:
    """Both ways over every sample."""
    sealed = sealed_ones(source, folder / "sealed")
    known = known_ones(source, folder / "known")
    print(json.dumps({"trial": "home", "sealed": sealed, "vault": known}, ensure_ascii=False), flush=True)
    whole = sealed["back"].get("byte_for_byte", 0) + sealed["back"].get("compression", 0)
    return bool(sealed["clean"]) and whole == sealed["clean"] and set(known["back"]) <= {"same"}
