"""The commands that work from one folder into another: `deidentify`, the very road of the daemon without the sending,
and `reidentify`, the way back.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydicom.datadict import keyword_for_tag

from gateway.children import Children, Crashed
from gateway.deidentify import StudySummary, clean_file, link_study
from gateway.durable import space_errors, sync_folder, write_file
from gateway.found import Found, found_below
from gateway.keys import GatewayKeys, attributes_key
from gateway.layout import Layout
from gateway.progress import Progress
from gateway.vault import LinkDoubt, Vault, VaultStudy
from teleread.dicom.deid.deidentify import DeidResult
from teleread.dicom.deid.encrypted import Opener, RecipientKey, has_originals, with_originals_back
from teleread.dicom.deid.identity import PatientIdentity, identity_of
from teleread.dicom.deid.profile import READING_PROFILE, FacilityKeys, Profile
from teleread.dicom.deid.restore import method_codes, renamed
from teleread.dicom.raw import BrokenDataset, RawFile, parse_raw, read_raw
from teleread.domain.identifiers import replacement_uid
from teleread.errors import InvalidInput, NotFound, OutOfSpace, Unavailable

#: Files in the making; on the file system of the finished ones, gone at the end.
_UNFINISHED = ".unfinished"

_NEW_UID = re.compile(r"2\.25\.[0-9]{1,39}")

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class CleanRow:
    """What became of one file; the report's words. Paths are relative to the two folders."""

    input: str
    outcome: str
    reason: str = ""
    output: str = ""
    input_sha256: str = ""
    output_sha256: str = ""
    masked: bool = False


@dataclass(frozen=True)
class RestoredRow:
    """What became of one object on its way back.

    `outcome` is ``restored`` (byte for byte the original), ``partly`` (what is missing stands in `missing`), ``held``
    (a doubt whose it is) or ``refused``; `way` is ``encrypted_attributes`` or ``vault``; `restored` has the keywords of
    the elements that came back.
    """

    input: str
    outcome: str
    reason: str = ""
    way: str = ""
    output: str = ""
    restored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    input_sha256: str = ""
    output_sha256: str = ""


def check_folders(source: Path, target: Path, data: Path) -> None:
    """Refuse folders that would be mixed up; make the target, which has to be new or empty.

    Raises
    ------
    InvalidInput
        Naming the folder and what to do.
    """
    if not source.is_dir():
        raise InvalidInput("IN_DIR", "is not a folder")
    real = {
        name: path.resolve() for name, path in (("IN_DIR", source), ("OUT_DIR", target), ("--data", data))
    }
    for one, other in (
        ("OUT_DIR", "IN_DIR"),
        ("IN_DIR", "OUT_DIR"),
        ("--data", "IN_DIR"),
        ("OUT_DIR", "--data"),
    ):
        if real[one].is_relative_to(real[other]):
            raise InvalidInput(one, f"lies in {other}; choose folders apart from each other")
    try:
        target.mkdir(parents=True, exist_ok=True)
        is_empty = next(target.iterdir(), None) is None
    except OSError as problem:
        raise InvalidInput("OUT_DIR", f"cannot be used: {problem.strerror}") from None
    if not is_empty:
        raise InvalidInput("OUT_DIR", "has to be new or empty")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


class _Target:
    """The folder that receives finished files, each under a name that tells nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished = folder / _UNFINISHED
        self._unfinished.mkdir()
        self._made: set[Path] = {folder}

    def unfinished(self, number: int) -> Path:
        return self._unfinished / f"{number}.dcm"

    def take(self, number: int, name: str) -> str:
        """Give a durable file its name, and return it with a number where the name is taken."""
        wanted = self._folder / name
        final, count = wanted, 1
        while final.exists():
            count += 1
            final = wanted.with_name(f"{wanted.stem}-{count}{wanted.suffix}")
        if final.parent not in self._made:
            final.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(final.parent)
        self.unfinished(number).replace(final)
        return final.relative_to(self._folder).as_posix()

    def drop(self, number: int) -> None:
        self.unfinished(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Make the names durable, and leave nothing unfinished."""
        for rest in self._unfinished.iterdir():
            rest.unlink()
        self._unfinished.rmdir()
        for folder in sorted(self._made):
            sync_folder(folder)


# Out, without sending


def deidentify_folder(
    source: Path,
    target: Path,
    data: Path,
    *,
    profile: Profile = READING_PROFILE,
    processes: int | None = None,
) -> dict[str, Any]:
    """De-identify every file below a folder by the daemon's own steps, and return the report.

    The folder of the gateway needs no enrolment: keys and vault are made where they are missing. What is written is
    durable under its name or not there at all.

    Raises
    ------
    InvalidInput
        The folders cannot be used.
    OutOfSpace
        The disk is full; what is finished stays.
    """
    check_folders(source, target, data)
    layout = Layout(data.absolute())
    layout.make()
    keys = GatewayKeys.make(layout)
    files = list(found_below(source))
    rows: list[CleanRow] = []
    progress = Progress(len(files))
    children = Children(_clean, processes=processes)
    place = _Target(target)
    try:
        with closing(Vault.of(layout, keys)) as vault, closing(children):
            answers = children.answers(
                ((number, found), (found, place.unfinished(number), keys.facility, profile))
                for number, found in enumerate(files)
            )
            for (number, found), answer in answers:
                rows.append(_settled(vault, place, number, found, answer))
                progress.count(rows[-1].outcome)
    finally:
        progress.done()
        place.close()
    return {"profile_codes": list(profile.codes), "files": [asdict(row) for row in rows]}


@dataclass(frozen=True)
class _Cleaned:
    input_sha256: str
    result: DeidResult


def _clean(found: Found, target: Path, keys: FacilityKeys, profile: Profile) -> _Cleaned:
    """Do one file; in the child process."""
    if found.problem:
        return _Cleaned("", DeidResult("held", found.problem))
    digest = _sha256(found.path)
    if not digest:
        return _Cleaned("", DeidResult("held", "file_unreadable"))
    answer: tuple[DeidResult, StudySummary] = clean_file(found.path, target, keys, profile)
    return _Cleaned(digest, answer[0])


#: What nobody at the facility could decide about: there is nothing to look at.
_REFUSED = frozenset({"not_dicom", "link", "no_file", "folder_unreadable", "file_unreadable"})


def _settled(
    vault: Vault, place: _Target, number: int, found: Found, answer: "_Cleaned | Exception"
) -> CleanRow:
    name = found.name
    if isinstance(answer, Exception):
        place.drop(number)
        return CleanRow(name, "held", _reason_of(answer), input_sha256=_sha256(found.path))
    result = answer.result
    if result.outcome != "clean":
        outcome = "refused" if result.reason in _REFUSED else "held"
        return CleanRow(name, outcome, result.reason, input_sha256=answer.input_sha256)
    try:
        link_study(vault, result)
    except LinkDoubt as doubt:
        place.drop(number)
        return CleanRow(name, "held", doubt.code, input_sha256=answer.input_sha256)
    return CleanRow(
        name,
        "clean",
        output=place.take(number, _name_of(result)),
        input_sha256=answer.input_sha256,
        output_sha256=result.sha256,
        masked=bool(getattr(result, "masked", ())),
    )


def _name_of(result: DeidResult) -> str:
    """Return a name of new UIDs; where UIDs are retained, of a digest: they may be no UIDs at all."""
    uids = (result.study_instance_uid, result.sop_instance_uid)
    if all(_NEW_UID.fullmatch(uid) for uid in uids):
        return f"{uids[0]}/{uids[1]}.dcm"
    return f"{result.sha256}.dcm"


def _reason_of(problem: Exception) -> str:
    """Return why a file is held that its child could not finish, or raise what stops everything."""
    if isinstance(problem, OutOfSpace) or (isinstance(problem, OSError) and problem.errno in _FULL):
        raise OutOfSpace("the disk of OUT_DIR is full") from problem
    if isinstance(problem, OSError):
        return "file_unreadable"
    return Crashed.code


# Home again


def reidentify_folder(
    source: Path,
    target: Path,
    data: Path,
    *,
    key: RecipientKey | None = None,
    processes: int | None = None,
) -> dict[str, Any]:
    """Bring de-identified objects back by what they carry sealed, or else by the vault, and return the report.

    Parameters
    ----------
    key : RecipientKey, optional
        Of the hospital's own certificate; the gateway's own key by default.

    Raises
    ------
    InvalidInput
        The folders cannot be used, or there is neither a vault nor a key.
    """
    check_folders(source, target, data)
    layout = Layout(data.absolute())
    key = key or attributes_key(layout)
    if key is not None:
        Opener(key)
    has_vault = layout.vault_database.exists()
    if has_vault:
        try:
            Vault.of(layout, GatewayKeys.load(layout)).close()
        except InvalidInput:
            if key is None:
                raise
            has_vault = False
    elif key is None:
        raise InvalidInput("--data", "has neither a vault nor a key for Encrypted Attributes")
    files = list(found_below(source))
    rows: list[RestoredRow] = []
    progress = Progress(len(files))
    children = Children(_restore, processes=processes)
    place = _Target(target)
    try:
        with closing(children):
            answers = children.answers(
                ((number, found), (found, place.unfinished(number), layout.data if has_vault else None, key))
                for number, found in enumerate(files)
            )
            for (number, found), answer in answers:
                row = _back(place, number, found, answer)
                rows.append(row)
                progress.count(row.outcome)
    finally:
        progress.done()
        place.close()
    return {"files": [asdict(row) for row in rows]}


def _back(place: _Target, number: int, found: Found, answer: "RestoredRow | Exception") -> RestoredRow:
    if isinstance(answer, Exception):
        place.drop(number)
        return RestoredRow(found.name, "refused", _reason_of(answer), input_sha256=_sha256(found.path))
    if not answer.output_sha256:
        return answer
    # Also the name of a file that is home says nothing: it is the digest of what stands in it.
    output = place.take(number, f"{answer.output_sha256}.dcm")
    return RestoredRow(**{**asdict(answer), "output": output})


@lru_cache(maxsize=1)
def _vault(data: Path) -> tuple[Vault, bytes]:
    layout = Layout(data)
    keys = GatewayKeys.load(layout)
    return Vault.of(layout, keys), keys.uid


@lru_cache(maxsize=1)
def _opener(key: RecipientKey) -> Opener:
    return Opener(key)


def _restore(found: Found, target: Path, data: Path | None, key: RecipientKey | None) -> RestoredRow:
    """Bring one object back; in the child process."""
    digest = "" if found.problem else _sha256(found.path)
    if not digest:
        return RestoredRow(found.name, "refused", found.problem or "file_unreadable")
    try:
        pieces, said = _original_of(found.path, data, key)
    except _Refusal as refusal:
        return RestoredRow(found.name, refusal.outcome, refusal.reason, input_sha256=digest)
    written = hashlib.sha256()
    with space_errors(), target.open("wb") as file:
        for piece in pieces:
            written.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return RestoredRow(found.name, **said, input_sha256=digest, output_sha256=written.hexdigest())


class _Refusal(Exception):  # noqa: N818 - what the row says
    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


def _original_of(
    path: Path, data: Path | None, key: RecipientKey | None
) -> tuple[Iterator[bytes | memoryview], dict[str, Any]]:
    try:
        raw = read_raw(path)
    except BrokenDataset as broken:
        raise _Refusal("refused", broken.code) from None
    if not (raw.text(0x00120062) == "YES" and method_codes(raw)):
        raise _Refusal("refused", "not_deidentified")
    entry, uids, why = _known(data, raw.text(0x0020000D))
    if key is not None and has_originals(raw):
        try:
            return _unsealed(raw, key, entry)
        except InvalidInput as problem:
            if problem.code != "wrong_key":
                raise _Refusal("held", problem.code) from None
            why = problem.code
    if entry is None:
        raise _Refusal("refused", why)
    _check_right(entry, raw.text(0x00100020), raw.text(0x00080050), raw.text(0x00100040))
    try:
        back = renamed(raw, entry.identity, uids)
    except InvalidInput as problem:
        raise _Refusal("held", problem.code) from None
    return iter(back.pieces), {
        "outcome": "partly",
        "way": "vault",
        "restored": _keywords(back.tags),
        "missing": back.missing,
    }


def _known(data: Path | None, centre_study_uid: str) -> tuple[VaultStudy | None, dict[str, str], str]:
    """Return what the vault knows of a study and its UIDs (new -> original), or why it knows nothing."""
    if data is None:
        return None, {}, "no_vault"
    vault, uid_key = _vault(data)
    try:
        entry = vault.study(centre_study_uid)
    except NotFound:
        return None, {}, "unknown_study"
    except InvalidInput:
        return None, {}, "vault_broken"
    return entry, {replacement_uid(uid, uid_key): uid for uid in vault.uids(centre_study_uid)}, ""


def _unsealed(
    raw: RawFile, key: RecipientKey, entry: VaultStudy | None
) -> tuple[Iterator[bytes | memoryview], dict[str, Any]]:
    sealed = with_originals_back(raw, _opener(key))
    if entry is not None:
        _check_same(entry, identity_of(parse_raw(b"".join(sealed.pieces))))
    missing = ("pixels",) if sealed.pixels_changed else () if sealed.exact else ("compression",)
    return iter(sealed.pieces), {
        "outcome": "restored" if sealed.exact else "partly",
        "way": "encrypted_attributes",
        "restored": _keywords(sealed.tags),
        "missing": missing,
    }


def _check_same(entry: VaultStudy, identity: PatientIdentity) -> None:
    """Hold what the object and the vault tell of two patients, or of two studies."""
    if (identity.patient_id, identity.issuer_of_patient_id, identity.study_instance_uid) != (
        entry.identity.patient_id,
        entry.identity.issuer_of_patient_id,
        entry.identity.study_instance_uid,
    ):
        raise _Refusal("held", "vault_differs")


def _check_right(entry: VaultStudy, pseudonym: str, accession: str, sex: str) -> None:
    """Hold an object whose pseudonyms are not those of the study that it says it is of."""
    if pseudonym != entry.pseudonym:
        raise _Refusal("held", "pseudonym")
    if accession and accession != entry.accession_pseudonym:
        raise _Refusal("held", "accession")
    if sex and entry.identity.sex and sex != entry.identity.sex:
        raise _Refusal("held", "sex")


def _keywords(tags: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(keyword_for_tag(tag) or f"{tag >> 16:04X},{tag & 0xFFFF:04X}" for tag in tags)


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report whole or not at all; names that are no text are written as escapes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps(report, indent=1).encode("ascii") + b"\n")
    except OSError as problem:
        raise Unavailable(f"the report cannot be written: {problem.strerror}") from None
