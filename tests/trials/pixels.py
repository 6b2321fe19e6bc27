"""T-12: 200 printed images, the public ultrasound and capture files, and clean CT and MR."""

import json
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import pydicom

from teleread.dicom.deid import ocr
from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.device_rules import PixelPolicy, Reading
from teleread.dicom.deid.masking import CannotMask, mask_pixels
from teleread.dicom.deid.profile import FacilityKeys
from teleread.dicom.deid.regions import Region
from teleread.dicom.raw import BrokenDataset, read_raw
from tests.builders.printed import RULES, Printed, printed_images, words_gone
from tests.trials.test_deidentify_shared import samples

KEYS = FacilityKeys(b"u" * 32, b"p" * 32)
#: Reasons that only the pixels give.
PIXEL_REASONS = {"burned_in", "risky_kind", "text_in_pixels", "not_maskable", "drawn_in_pixels"}
CT_AND_MR = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4")


def _tell(**facts: object) -> None:
    print(json.dumps({"trial": "pixels", **facts}, ensure_ascii=False), flush=True)


def _judge(image: Printed, policy: PixelPolicy, folder: Path) -> tuple[str, list[bool]]:
    """Return the outcome and, for each word, whether nobody outside can read it."""
    source, target = folder / "in.dcm", folder / "out.dcm"
    source.write_bytes(image.data)
    target.unlink(missing_ok=True)
    result = deidentify_file(source, target, keys=KEYS, pixels=policy)
    if result.outcome == "held":
        return result.reason, [True] * len(image.words)
    return "masked" if result.masked else "sent", words_gone(target, image.words)


def _printed(name: str, images: list[Printed], policy: PixelPolicy, folder: Path) -> float:
    outcomes: Counter[str] = Counter()
    safe: list[bool] = []
    unseen = 0
    for image in images:
        outcome, words = _judge(image, policy, folder)
        outcomes[outcome] += 1
        safe += words
        unseen += not all(words)
    recall = sum(safe) / len(safe)
    _tell(
        part=name,
        images=len(images),
        words=len(safe),
        outcomes=dict(outcomes),
        recall=round(recall, 4),
        unseen=unseen,
    )
    return 1.0 if not unseen else min(recall, 0.9999)


def _real(folder: Path) -> tuple[bool, bool]:
    """Return whether every risky public file was held, and whether clean CT and MR went on."""
    risky: Counter[str] = Counter()
    clean: dict[str, Counter[str]] = {"risky": Counter(), "all": Counter()}
    for path in samples():
        try:
            raw = read_raw(path)
        except BrokenDataset:
            continue
        sop_class, said = raw.text(0x00080016), raw.text(0x00280301).upper()
        target = folder / "real.dcm"
        if sop_class.startswith(
            ("1.2.840.10008.5.1.4.1.1.6.", "1.2.840.10008.5.1.4.1.1.3.", "1.2.840.10008.5.1.4.1.1.7")
        ):
            if said == "NO":
                continue
            target.unlink(missing_ok=True)
            result = deidentify_file(path, target, keys=KEYS)
            risky[result.reason or "sent"] += 1
        elif sop_class in CT_AND_MR and raw.find(0x7FE00010) is not None:
            for reading in ("risky", "all") if ocr.is_available() else ("risky",):
                target.unlink(missing_ok=True)
                result = deidentify_file(
                    path, target, keys=KEYS, pixels=PixelPolicy(reading=Reading(reading))
                )
                clean[reading]["held" if result.reason in PIXEL_REASONS else "went_on"] += 1
    _tell(part="public US and captures", outcomes=dict(risky))
    shares = {
        reading: round(counts["held"] / counts.total(), 4) for reading, counts in clean.items() if counts
    }
    _tell(
        part="clean CT and MR",
        files={name: dict(counts) for name, counts in clean.items()},
        false_hold=shares,
    )
    # NM captures that their Image Type calls acquired go on by rule; nothing else of the kind may.
    return risky["sent"] <= _acquired_captures(), shares.get("risky", 1.0) <= 0.01


def _acquired_captures() -> int:
    found = 0
    for path in samples():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ds = pydicom.dcmread(path, stop_before_pixels=True)
            except (
                OSError,
                ValueError,
                AttributeError,
                NotImplementedError,
                pydicom.errors.InvalidDicomError,
            ):
                continue
        found += ds.get("Modality") in {"NM", "CT", "MR"} and str(ds.get("SOPClassUID", "")).startswith(
            "1.2.840.10008.5.1.4.1.1.7"
        )
    return found


def _maskable() -> None:
    """Tell in how many public files a box can be hidden without a change outside it; `masking` checks each itself."""
    found: Counter[str] = Counter()
    for path in samples():
        try:
            raw = read_raw(path)
        except BrokenDataset:
            continue
        if raw.find(0x7FE00010) is None or not raw.number(0x00280010):
            continue
        try:
            mask_pixels(raw, path, (Region(0, 0, max(raw.number(0x00280011) // 2, 1), 1),))
            found[f"{raw.transfer_syntax} masked"] += 1
        except CannotMask:
            found[f"{raw.transfer_syntax} held"] += 1
    _tell(part="masking of every public file", files=dict(sorted(found.items())))


def pixels() -> bool:
    """Print the figures of T-12 and return whether they are met."""
    images = list(printed_images())
    confirmed = PixelPolicy(rules=RULES)
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        place = Path(folder)
        fresh = _printed("a fresh facility", images, PixelPolicy(), place)
        devices = [image for image in images if image.kind != "typed"]
        known = _printed("devices confirmed", devices, confirmed, place)
        # What no rule can know of: the text reader's part, told whether or not there is one.
        typed = [image for image in images if image.kind == "typed"]
        _tell(text_reader=ocr.languages() or None)
        _printed("typed into the picture of a confirmed device", typed, confirmed, place)
        held, went_on = _real(place)
        _maskable()
    return fresh == known == 1.0 and held and went_on
