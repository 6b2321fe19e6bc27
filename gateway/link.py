"""The line to the centre: HTTPS out of the facility, with the client certificate of enrolment."""

import logging
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import httpx

from gateway.layout import Layout
from gateway.settings import GatewaySettings
from teleread.dicom.multipart import multipart_stream
from teleread.errors import InvalidInput, TelereadError, Unavailable
from teleread.wire.critical import CriticalAcknowledgement, CriticalNotice
from teleread.wire.heartbeat import Heartbeat, HeartbeatAnswer
from teleread.wire.manifest import ManifestAnswer, StudyManifest, StudyStatus
from teleread.wire.orders import OrderAnswer, OrderNotice
from teleread.wire.packages import ReportPackage
from teleread.wire.receipts import InstanceReceipt, PackageEvent

_log = logging.getLogger(__name__)

TIMEOUT = httpx.Timeout(60.0, connect=10.0)

# What says nothing about the thing sent: try again later. 401 and 403 are about the gateway's certificate.
_TRY_LATER = {401, 403, 408, 425, 429}

# PS3.18 Table 10.5.3-1 (store response codes) over PS3.7 Annex C: what may pass.
_PASSING_FAILURES = {0x0110, *range(0xA700, 0xA800)}


class Refused(TelereadError):  # noqa: N818 - the name says what happened, as in teleread.errors
    """The centre understood and said no; sending the same again is useless."""

    code = "refused_by_centre"


@dataclass(frozen=True)
class Upload:
    """A de-identified file to send, by what the manifest says of it."""

    sop_instance_uid: str
    sha256: str
    path: Path


@dataclass(frozen=True)
class UnreadablePackage:
    """A package of the centre's list that does not have the form of one.

    `package_id` is empty where not even that can be used; `reason` names the field, never its value.
    """

    package_id: str
    reason: str


@dataclass(frozen=True)
class UnreadableFinding:
    """A critical finding of the centre's list that does not have the form of one; the same rules as for a package."""

    critical_id: str
    reason: str


class CentreLink:
    """Everything that the gateway says to the centre; safe to use from several threads.

    Each method raises Unavailable when another try may help and Refused when it will not.
    """

    def __init__(self, gateway_url: str, context: ssl.SSLContext, *, connections: int = 8) -> None:
        self._client = httpx.Client(
            base_url=gateway_url,
            verify=context,
            timeout=TIMEOUT,
            # Proxy settings of the environment would send the line somewhere that nobody decided on.
            trust_env=False,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    @classmethod
    def open(cls, settings: GatewaySettings, layout: Layout) -> "CentreLink":
        """Return the link of an enrolled gateway."""
        context = ssl.create_default_context(cafile=str(layout.keys / "centre-ca.pem"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(layout.keys / "client.pem", layout.keys / "client.key")
        return cls(settings.gateway_url, context, connections=settings.upload_connections + 4)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def store(self, uploads: list[Upload]) -> list[InstanceReceipt]:
        """Send instances by STOW-RS (PS3.18 Section 10.5) and return the centre's receipts."""
        boundary = uuid4().hex
        response = self._send(
            "POST",
            "/dicom-web/studies",
            content=multipart_stream(_parts(uploads), boundary),
            headers={
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                "Accept": "application/dicom+json",
            },
            accepted=(200, 202, 409),
        )
        return list(_receipts(_json(response), uploads))

    def put_manifest(self, manifest: StudyManifest) -> ManifestAnswer:
        """Send a study's manifest and return what the centre misses."""
        path = f"/gateway/v1/studies/{manifest.study_instance_uid}/manifest"
        document = _json(self._send("PUT", path, json=manifest.to_json()))
        try:
            return ManifestAnswer.from_json(document)
        except InvalidInput as problem:
            raise Unavailable(f"the centre's answer cannot be read: {problem.message}") from None

    def packages(self) -> list[ReportPackage | UnreadablePackage]:
        """Return the report packages that wait for this facility, each read by itself."""
        document = _json(self._send("GET", "/gateway/v1/packages"))
        listed = document.get("packages") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise Unavailable("the centre's list of packages cannot be read")
        return [_package(one) for one in listed]

    def package_pdf(self, package_id: str) -> bytes:
        """Return the signed PDF of a package."""
        return self._send("GET", f"/gateway/v1/packages/{package_id}/pdf").content

    def report_event(self, package_id: str, event: PackageEvent) -> None:
        """Tell the centre what happened to a package."""
        self._send("POST", f"/gateway/v1/packages/{package_id}/events", json=event.to_json())

    def study_status(self, study_instance_uid: str) -> StudyStatus:
        """Return how far a study is at the centre."""
        return StudyStatus.from_json(_json(self._send("GET", f"/gateway/v1/studies/{study_instance_uid}")))

    def put_order(self, notice: OrderNotice) -> OrderAnswer:
        """Send a request to read, and return what the centre made of it."""
        response = self._send("PUT", f"/gateway/v1/orders/{notice.order_id}", json=notice.to_json())
        return OrderAnswer.from_json(_json(response))

    def critical_findings(self) -> list[CriticalNotice | UnreadableFinding]:
        """Return the critical findings that nobody at the facility has taken note of, each read by itself."""
        document = _json(self._send("GET", "/gateway/v1/critical"))
        listed = document.get("findings") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise Unavailable("the centre's list of critical findings cannot be read")
        return [_finding(one) for one in listed]

    def acknowledge_critical(self, critical_id: str, message: CriticalAcknowledgement) -> None:
        """Tell the centre that a doctor took note of a finding."""
        self._send("POST", f"/gateway/v1/critical/{critical_id}/acknowledgement", json=message.to_json())

    def beat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Send a sign of life."""
        response = self._send("POST", "/gateway/v1/heartbeat", json=heartbeat.to_json())
        return HeartbeatAnswer.from_json(_json(response))

    def _send(
        self, method: str, path: str, *, accepted: tuple[int, ...] = (200, 201, 202, 204), **arguments: Any
    ) -> httpx.Response:
        try:
            response = self._client.request(method, path, **arguments)
        except httpx.HTTPError as problem:
            raise Unavailable(f"no answer from the centre: {type(problem).__name__}") from None
        if response.status_code in accepted:
            return response
        if 400 <= response.status_code < 500 and response.status_code not in _TRY_LATER:
            raise Refused(f"the centre answered {response.status_code}")
        raise Unavailable(f"the centre answered {response.status_code}")


def _parts(uploads: list[Upload]) -> Iterator[tuple[dict[str, str], BinaryIO]]:
    for upload in uploads:
        with upload.path.open("rb") as file:
            yield {"Content-Type": "application/dicom"}, file


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        raise Unavailable("the centre's answer is not JSON") from None


def _package(document: object) -> ReportPackage | UnreadablePackage:
    try:
        package = ReportPackage.from_json(document)
        usable, reason = _is_path_segment(package.package_id), "ReportPackage.package_id: not a path segment"
    except InvalidInput as problem:
        reason = problem.message
    else:
        if usable:
            return package
    named = document.get("package_id") if isinstance(document, dict) else None
    return UnreadablePackage(named if isinstance(named, str) and _is_path_segment(named) else "", reason)


def _finding(document: object) -> CriticalNotice | UnreadableFinding:
    try:
        notice = CriticalNotice.from_json(document)
        usable, reason = (
            _is_path_segment(notice.critical_id),
            "CriticalNotice.critical_id: not a path segment",
        )
    except InvalidInput as problem:
        reason = problem.message
    else:
        if usable:
            return notice
    named = document.get("critical_id") if isinstance(document, dict) else None
    return UnreadableFinding(named if isinstance(named, str) and _is_path_segment(named) else "", reason)


def _is_path_segment(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) is not None


def _receipts(document: object, uploads: list[Upload]) -> Iterator[InstanceReceipt]:
    # (0008,1199) Referenced SOP Sequence, (0008,1198) Failed SOP Sequence; PS3.18 Table 10.5.3-2.
    if not isinstance(document, dict):
        raise Unavailable("the centre's answer is not a DICOM JSON object")
    for item in _items(document, "00081199"):
        yield from _receipt(item, str(_value(item, "00091002") or "STORED").lower(), "", uploads)
    for item in _items(document, "00081198"):
        reason = _value(item, "00081197")
        if isinstance(reason, int) and reason in _PASSING_FAILURES:
            # Without a receipt the instance stays `clean` and is tried again.
            continue
        code = f"0x{reason:04X}" if isinstance(reason, int) else "no reason given"
        yield from _receipt(item, "refused", code, uploads)


def _receipt(
    item: dict[str, Any], outcome: str, reason: str, uploads: list[Upload]
) -> Iterator[InstanceReceipt]:
    """Yield the receipt of an item, or nothing: what has no receipt is tried again, alone in its trouble."""
    digest = _value(item, "00091001")
    uid = _value(item, "00081155")
    if not uid:
        # The centre could not read the part that far; its digest still says which one it was.
        uid = next((upload.sop_instance_uid for upload in uploads if upload.sha256 == digest), None)
    try:
        yield InstanceReceipt.from_json(
            {"sop_instance_uid": uid, "sha256": digest, "outcome": outcome, "reason": reason}
        )
    except InvalidInput as problem:
        _log.error("a receipt of the centre cannot be read: %s", problem.message)


def _items(document: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    element = document.get(tag)
    values = element.get("Value", []) if isinstance(element, dict) else []
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _value(item: dict[str, Any], tag: str) -> Any:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
