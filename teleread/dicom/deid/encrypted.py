"""The originals inside the object itself, sealed for the facility: the Encrypted Attributes Sequence.

PS3.15 E.1.1 and E.1.2, PS3.3 C.12.1.1.4. Every top-level element that de-identification changes or removes is kept with
its very bytes in a Modified Attributes Sequence (0400,0550); that dataset is enveloped by CMS (RFC 5652) with RSA for
the transport of an AES-256 key and put into Encrypted Content (0400,0520). Who has the private key has the originals
back, byte for byte, with the vault lost. Who has not sees random bytes.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from teleread.dicom.raw import (
    BIG,
    DEFLATED,
    EXPLICIT,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT,
    IMPLICIT_LITTLE,
    PIXEL_TAGS,
    BrokenDataset,
    Element,
    RawFile,
    Syntax,
    elements_in,
    encode_element,
    encode_items,
    encode_meta,
    parse_raw,
)
from teleread.errors import InvalidInput

ENCRYPTED_ATTRIBUTES = 0x04000500
_SOP_INSTANCE_UID, _TIMES_MODIFIED = 0x00080018, 0x00280303
_CONTENT_SYNTAX, _CONTENT = 0x04000510, 0x04000520
_MODIFIED_ATTRIBUTES = 0x04000550

#: Private elements of the sealed dataset: what the file was around its elements, and to which object it belongs.
_CREATOR = "TELEREAD ORIGINAL"
_HEAD, _TAIL, _ADDED, _DIGEST, _PIXEL_DIGEST, _BELONGS_TO, _NUMBERS = (
    0x00991001 + place for place in range(7)
)

_SYNTAX_UIDS = {IMPLICIT: IMPLICIT_LITTLE, EXPLICIT: EXPLICIT_LITTLE, BIG: EXPLICIT_BIG}
_SMALLEST_KEY = 2048
_KEY_BITS = 3072
_YEARS = 30

Piece = bytes | memoryview


@dataclass(frozen=True)
class RecipientKey:
    """A private RSA key (PKCS#8 PEM) and the certificate (PEM) that objects are sealed for."""

    key_pem: bytes
    certificate_pem: bytes


def make_recipient(common_name: str, *, at: datetime) -> RecipientKey:
    """Return a new key of 3,072 bits with a certificate that it signed itself."""
    key = rsa.generate_private_key(65537, _KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=365 * _YEARS))
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return RecipientKey(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
    )


@lru_cache(maxsize=8)
def read_recipients(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file, each of which will be able to open what is sealed.

    Raises
    ------
    InvalidInput
        There is none, or one has a key that RSA key transport cannot use (PS3.15 E.1.1), or a short one.
    """
    try:
        certificates = tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise InvalidInput("certificate", "is not a certificate in PEM form") from None
    for certificate in certificates:
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise InvalidInput("certificate", "has to be of an RSA key (DICOM PS3.15 E.1.1)")
        if key.key_size < _SMALLEST_KEY:
            raise InvalidInput("certificate", f"has a key of fewer than {_SMALLEST_KEY} bits")
    return certificates


def envelope(content: bytes, recipients_pem: bytes) -> bytes:
    """Return `content` as CMS EnvelopedData (DER) for every certificate of `recipients_pem`."""
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(content).set_content_encryption_algorithm(AES256)
    for certificate in read_recipients(recipients_pem):
        builder = builder.add_recipient(certificate)
    return builder.encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


class Opener:
    """Opens envelopes with one private key."""

    def __init__(self, recipient: RecipientKey, *, password: bytes | None = None) -> None:
        try:
            key = serialization.load_pem_private_key(recipient.key_pem, password)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise InvalidInput("key", "is not a private key in PEM form, or needs a password") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise InvalidInput("key", "is not an RSA key")
        self._key = key
        own = key.public_key().public_numbers()
        self._certificates = [
            certificate
            for certificate in read_recipients(recipient.certificate_pem)
            if isinstance(public := certificate.public_key(), rsa.RSAPublicKey)
            and public.public_numbers() == own
        ]
        if not self._certificates:
            raise InvalidInput("key", "does not belong to the certificate", code="wrong_key")

    def open(self, enveloped: bytes) -> bytes:
        """Return what is inside.

        Raises
        ------
        InvalidInput
            ``wrong_key``: it was sealed for somebody else, or is damaged.
        """
        for certificate in self._certificates:
            try:
                return pkcs7.pkcs7_decrypt_der(enveloped, certificate, self._key, [])
            except (ValueError, UnsupportedAlgorithm):
                continue
        raise InvalidInput(
            "key",
            "does not open these Encrypted Attributes: sealed for another, or damaged",
            code="wrong_key",
        )


# Sealing


def with_originals(raw: RawFile, pieces: Iterable[Piece], recipients_pem: bytes) -> Iterator[Piece]:
    """Yield a de-identified dataset with its Encrypted Attributes Sequence in its place.

    Parameters
    ----------
    raw : RawFile
        The original.
    pieces : iterable of bytes
        The de-identified dataset in the order of its tags, each piece of whole elements; those of the pixels have no
        other element with them, and may come in several.
    recipients_pem : bytes
        Certificates that will be able to open it.

    Notes
    -----
    What is sealed says the new SOP Instance UID: it belongs to that object only.
    """
    new = list(_elements_of(pieces, raw.syntax))
    written = {tag: piece for tag, piece in new if tag is not None}
    originals = [
        element
        for element in raw.elements
        if element.tag not in PIXEL_TAGS and written.get(element.tag) != raw.data[element.start : element.end]
    ]
    known = {element.tag for element in raw.elements}
    added = [tag for tag in written if tag not in known] + [ENCRYPTED_ATTRIBUTES]
    (sop_uid,) = elements_in(bytes(written[_SOP_INSTANCE_UID]), raw.syntax)
    belongs_to = bytes(written[_SOP_INSTANCE_UID])[sop_uid.value_at : sop_uid.value_end]
    sealed = envelope(_sealed_dataset(raw, originals, added, belongs_to), recipients_pem)
    sequence: Piece | None = _sequence(sealed, raw.syntax)
    for tag, piece in new:
        if tag == ENCRYPTED_ATTRIBUTES:
            continue
        if sequence is not None and (tag is None or tag > ENCRYPTED_ATTRIBUTES):
            yield sequence
            sequence = None
        yield piece
    if sequence is not None:
        yield sequence


def _elements_of(pieces: Iterable[Piece], syntax: Syntax) -> Iterator[tuple[int | None, Piece]]:
    """Yield tag and bytes of each element; None for the tag of what is of the pixels."""
    for piece in pieces:
        if len(piece) >= 4:
            group, number = struct.unpack_from(syntax.order + "HH", piece)
            if group << 16 | number in PIXEL_TAGS or group == 0xFFFE:
                yield None, piece
                continue
        data = bytes(piece)
        for element in elements_in(data, syntax):
            yield element.tag, data[element.start : element.end]


def _sealed_dataset(raw: RawFile, originals: list[Element], added: list[int], belongs_to: bytes) -> bytes:
    syntax, order = raw.syntax, raw.syntax.order
    view = memoryview(raw.data)
    in_order = sorted(raw.elements, key=lambda one: one.tag)
    digest, pixel_digest = _digests((one.tag, view[one.start : one.end]) for one in in_order)
    # An inflated dataset has lost what stood before it in the file.
    head = b"" if raw.transfer_syntax == DEFLATED else bytes(view[: raw.dataset_at])
    tail = bytes(view[raw.elements[-1].end if raw.elements else raw.dataset_at :])
    is_whole = raw.transfer_syntax != DEFLATED and in_order == raw.elements
    values: tuple[tuple[int, str, bytes], ...] = (
        (0x00990010, "LO", _CREATOR.encode("ascii")),
        (_HEAD, "OB", head),
        (_TAIL, "OB", tail),
        (_ADDED, "AT", b"".join(struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) for tag in sorted(added))),
        (_DIGEST, "LO", digest.encode("ascii")),
        (_PIXEL_DIGEST, "LO", pixel_digest.encode("ascii")),
        (_BELONGS_TO, "UI", belongs_to),
        # Two lengths, because the padding of an odd one would be taken for content; and whether the file can be made again.
        (_NUMBERS, "UL", struct.pack(order + "LLL", len(head), len(tail), is_whole)),
    )
    content = b"".join(view[element.start : element.end] for element in originals)
    items = encode_items([(content, False)], syntax, undefined=False)
    about = b"".join(encode_element(tag, vr, value, syntax) for tag, vr, value in values)
    return about + encode_element(_MODIFIED_ATTRIBUTES, "SQ", items, syntax)


def _digests(elements: Iterable[tuple[int, Piece]]) -> tuple[str, str]:
    """Return the SHA-256 of everything but the pixels, and of the pixels."""
    digest, pixel_digest = hashlib.sha256(), hashlib.sha256()
    for tag, piece in elements:
        (pixel_digest if tag in PIXEL_TAGS else digest).update(piece)
    return digest.hexdigest(), pixel_digest.hexdigest()


def _sequence(sealed: bytes, syntax: Syntax) -> bytes:
    item = encode_element(_CONTENT_SYNTAX, "UI", _SYNTAX_UIDS[syntax].encode("ascii"), syntax)
    # DER tells its own length, so the padding byte of an odd one does no harm.
    item += encode_element(_CONTENT, "OB", sealed, syntax)
    return encode_element(
        ENCRYPTED_ATTRIBUTES, "SQ", encode_items([(item, False)], syntax, undefined=False), syntax
    )


# Opening


@dataclass(frozen=True)
class Restored:
    """An object with its originals back.

    Attributes
    ----------
    pieces : tuple of bytes
        The whole file.
    tags : tuple of int
        Top-level elements that came back.
    exact : bool
        The file is the original one, byte for byte. Otherwise every element is, but pixels were masked, or the
        original was deflated.
    pixels_changed : bool
        The pixels are not those of the original, and cannot come back.
    """

    pieces: tuple[Piece, ...]
    tags: tuple[int, ...]
    exact: bool
    pixels_changed: bool


def has_originals(raw: RawFile) -> bool:
    """Tell whether a de-identified object carries its originals."""
    return _enveloped(raw) is not None


def _enveloped(raw: RawFile) -> tuple[str, bytes] | None:
    sequence = raw.find(ENCRYPTED_ATTRIBUTES)
    for item in (sequence.items or ()) if sequence else ():
        values = {one.tag: raw.data[one.value_at : one.value_end] for one in item.elements}
        if _CONTENT in values:
            syntax = values.get(_CONTENT_SYNTAX, b"").decode("latin-1").strip(" \0")
            return syntax, _without_padding(values[_CONTENT])
    return None


def _without_padding(der: bytes) -> bytes:
    """Return a DER value without what follows it (X.690 Section 8.1.3)."""
    if len(der) < 2:
        return der
    length, at = der[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(der[2:at], "big")
    return der[: at + length]


def with_originals_back(raw: RawFile, opener: Opener) -> Restored:
    """Return the original of a de-identified object.

    Raises
    ------
    InvalidInput
        ``no_originals``, ``wrong_key``; ``changed_since`` when the object is not as it left, so that nobody can say that
        what is sealed in it belongs to it.
    """
    found = _enveloped(raw)
    if found is None:
        raise InvalidInput("object", "has no Encrypted Attributes", code="no_originals")
    syntax_uid, enveloped = found
    content = opener.open(enveloped)
    changed = InvalidInput("object", "is not as it left the facility", code="changed_since")
    if syntax_uid != _SYNTAX_UIDS[raw.syntax]:
        raise changed
    try:
        # The originals lie one level deeper than they did.
        sealed = parse_raw(encode_meta([(0x00020010, "UI", syntax_uid.encode("ascii"))]) + content, depth=-1)
        (item,) = _items_of(sealed, _MODIFIED_ATTRIBUTES)
        head_size, tail_size, is_whole = struct.unpack_from(raw.syntax.order + "LLL", sealed.value(_NUMBERS))
        pairs = list(struct.iter_unpack(raw.syntax.order + "HH", sealed.value(_ADDED)))
    except (BrokenDataset, ValueError, struct.error):
        raise changed from None
    if sealed.text(0x00990010) != _CREATOR or sealed.text(_BELONGS_TO) != raw.text(_SOP_INSTANCE_UID):
        raise changed
    originals: list[tuple[int, Piece]] = [
        (element.tag, memoryview(sealed.data)[element.start : element.end]) for element in item
    ]
    back = {tag for tag, _ in originals}
    not_theirs = back | {group << 16 | number for group, number in pairs} | {ENCRYPTED_ATTRIBUTES}
    kept: list[tuple[int, Piece]] = [
        (element.tag, memoryview(raw.data)[element.start : element.end])
        for element in raw.elements
        if element.tag not in not_theirs or element.tag in PIXEL_TAGS
    ]
    merged = sorted(originals + kept, key=lambda one: one[0])
    digest, pixel_digest = _digests(merged)
    if digest != sealed.text(_DIGEST):
        raise changed
    pixels_changed = pixel_digest != sealed.text(_PIXEL_DIGEST)
    if pixels_changed:
        # What says how to read the pixels has to be of the pixels that are there.
        merged = _with_layout_of(raw, merged)
    head = sealed.value(_HEAD)[:head_size] if is_whole and not pixels_changed else _new_head(merged, raw)
    return Restored(
        pieces=(head, *(piece for _, piece in merged), sealed.value(_TAIL)[:tail_size]),
        tags=tuple(sorted(back)),
        exact=bool(is_whole) and not pixels_changed,
        pixels_changed=pixels_changed,
    )


def _with_layout_of(raw: RawFile, elements: list[tuple[int, Piece]]) -> list[tuple[int, Piece]]:
    """Return the elements with those of the Image Pixel group (0028) as the de-identified object has them."""
    own: list[tuple[int, Piece]] = [
        (one.tag, memoryview(raw.data)[one.start : one.end])
        for one in raw.elements
        if one.tag >> 16 == 0x0028 and one.tag != _TIMES_MODIFIED
    ]
    return sorted([one for one in elements if one[0] >> 16 != 0x0028] + own, key=lambda one: one[0])


def _new_head(elements: list[tuple[int, Piece]], raw: RawFile) -> bytes:
    """Return file meta of a file that cannot be the original one; what was deflated is written without compression."""
    syntax = EXPLICIT_LITTLE if raw.transfer_syntax == DEFLATED else raw.transfer_syntax
    sop_uid = next((bytes(piece) for tag, piece in elements if tag == _SOP_INSTANCE_UID), b"")
    return encode_meta((
        (0x00020002, "UI", raw.text(0x00080016).encode("ascii", "replace")),
        (0x00020003, "UI", sop_uid[8:].rstrip(b" \0")),
        (0x00020010, "UI", syntax.encode("ascii")),
    ))  # fmt: skip


def _items_of(raw: RawFile, tag: int) -> list[list[Element]]:
    element = raw.find(tag)
    return [item.elements for item in (element.items or [])] if element else []
