"""Into a folder of the facility."""

import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from gateway.deliver.base import NamedReport
from gateway.durable import sync_folder
from teleread.domain.identifiers import check_case_number
from teleread.errors import Unavailable


@dataclass(frozen=True)
class FolderRoute:
    """A folder that takes the PDF, named by case number and version."""

    folder: Path
    kind: str = "folder"

    @property
    def target(self) -> str:
        """The folder."""
        return str(self.folder)

    def deliver(self, report: NamedReport) -> str:
        """Write the PDF so that its name appears only with all its bytes, and never over other bytes."""
        case_number = check_case_number(report.case_number)
        name = f"{case_number}-v{report.version}"
        beside = self.folder / f".{uuid4().hex}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._write(beside, report.pdf.read_bytes())
                for candidate in (name, f"{name}-{report.pdf_sha256[:8]}", f"{name}-{report.pdf_sha256}"):
                    if self._appear(beside, self.folder / f"{candidate}.pdf", report.pdf_sha256):
                        return "durable"
            finally:
                beside.unlink(missing_ok=True)
        except OSError as problem:
            raise Unavailable(
                f"the folder does not take it: {errno.errorcode.get(problem.errno or 0)}"
            ) from None
        raise Unavailable("every name of the report is taken by other files")

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _appear(self, beside: Path, path: Path, sha256: str) -> bool:
        try:
            # A link, not a rename: it fails where the name is taken instead of replacing what is there.
            path.hardlink_to(beside)
        except FileExistsError:
            return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        sync_folder(self.folder)
        return True
