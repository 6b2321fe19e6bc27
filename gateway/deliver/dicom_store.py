"""To the facility's PACS, by C-STORE."""

from dataclasses import dataclass

from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association

from gateway.deliver.base import NamedReport, Rejected
from gateway.scp import set_no_delay
from gateway.settings import PACSTarget
from teleread.errors import Unavailable

# PS3.4 Table B.2-1 and PS3.7 Annex C. Duplicate SOP Instance means that an earlier try arrived: the UID is
# made from the report's own digest, so it can only be this report.
_STORED = {0x0000, 0x0111, 0xB000, 0xB006, 0xB007}
_PASSING = {0x0110, 0x0210, 0x0213, *range(0xA700, 0xA800)}

_SECONDS = 30


@dataclass(frozen=True)
class DICOMStoreRoute:
    """An AE that takes Encapsulated PDF objects."""

    pacs: PACSTarget
    calling_ae: str
    kind: str = "dicom_store"

    @property
    def target(self) -> str:
        """The AE, as people write it."""
        return f"{self.pacs.ae_title}@{self.pacs.host}:{self.pacs.port}"

    def deliver(self, report: NamedReport) -> str:
        """Send the object as it is on disk, without decoding it."""
        _config.STORE_SEND_CHUNKED_DATASET = True
        _config.LOG_HANDLER_LEVEL = "none"
        meta = read_file_meta_info(report.dicom)
        ae = AE(ae_title=self.calling_ae)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _SECONDS
        ae.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
        association = ae.associate(
            self.pacs.host,
            self.pacs.port,
            ae_title=self.pacs.ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: set_no_delay(event.assoc))],
        )
        if not association.is_established:
            if association.is_rejected or not association.rejected_contexts:
                # A rejection too: who it does not know is a setting of the PACS that a person will correct.
                raise Unavailable("no association with the PACS")
            raise Rejected("the PACS takes no Encapsulated PDF objects")
        try:
            return _store(association, report)
        finally:
            if association.is_established:
                association.release()


def _store(association: Association, report: NamedReport) -> str:
    if not association.accepted_contexts:
        raise Rejected("the PACS takes no Encapsulated PDF objects")
    try:
        answer = association.send_c_store(report.dicom)
    except (RuntimeError, OSError):
        raise Unavailable("the association ended") from None
    if "Status" not in answer:
        raise Unavailable("the PACS did not answer")
    status = int(answer.Status)
    if status in _STORED:
        return f"0x{status:04X}"
    if status in _PASSING:
        raise Unavailable(f"the PACS answered 0x{status:04X}")
    raise Rejected(f"the PACS answered 0x{status:04X}")
