"""The last look at what leaves beside the files: manifests and requests, against what the vault knows of the patient.

The files themselves have been read byte for byte before they became `clean`. Paths and headers are made of UIDs, ids and
digests only, and a heartbeat has no field that could hold a name.
"""

import json
import logging
from dataclasses import replace
from functools import lru_cache

from gateway.known import identity_of_request
from gateway.link import Refused
from gateway.vault import Vault
from teleread.dicom.deid.identity import PatientIdentity
from teleread.dicom.deid.tokens import tokens_of
from teleread.errors import InvalidInput, NotFound
from teleread.wire.manifest import StudyManifest
from teleread.wire.orders import OrderNotice

_log = logging.getLogger(__name__)


class LastLook:
    """Looks through messages for the patient that they are about."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._identity = lru_cache(maxsize=256)(self._identity_of_study)

    def manifest(self, manifest: StudyManifest) -> StudyManifest:
        """Return a manifest that may leave: without a text that names the patient."""
        try:
            identity = self._identity(manifest.study_instance_uid)
        except (NotFound, InvalidInput):
            return manifest
        # The rest of a manifest are ids, digests, dates and terms of closed lists.
        if tokens_of(identity).told_in(manifest.study_description) is not None:
            _log.error("manifest of study %s goes without its description", manifest.study_instance_uid)
            manifest = replace(manifest, study_description="")
        if identity.study_instance_uid and identity.study_instance_uid in json.dumps(manifest.to_json()):
            raise Refused("the manifest has the facility's own UID", code="identity_left")
        return manifest

    def order(self, notice: OrderNotice) -> None:
        """Raise Refused for a request that names its patient; a person at the facility has to write it anew."""
        try:
            form = self._vault.form(notice.order_id)
        except NotFound:
            return
        tokens = tokens_of(identity_of_request(form))
        texts = (notice.body_part, notice.examination, notice.clinical_question, notice.history)
        if any(tokens.told_in(text, doubtful=False) is not None for text in texts):
            raise Refused("the request names the patient", code="identity_left")

    def _identity_of_study(self, centre_study_uid: str) -> PatientIdentity:
        return self._vault.study(centre_study_uid).identity
