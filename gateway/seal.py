"""Writes the patient's identity into a signed report, and seals it for the facility.

The centre's PDF has an empty form field a page for each item of identity. Filling them is the one change that the
reader's signature allows, and it is made here as an incremental update: the bytes that the reader signed stay as they
are. The facility's own signature over the whole file then locks the fields.

Only pyHanko and fontTools: no PDF renderer on the box.
"""

import asyncio
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner
from pyhanko.stamp.noop import NoOpStampStyle

from gateway.durable import write_file
from teleread.errors import InvalidInput
from teleread.lettering import SubsetFont, Typeface, typeface
from teleread.resources import report_fonts
from teleread.signatures import issue_signing_certificate, make_ca, read_certificates, signer_from_pem

FACILITY_SIGNATURE_FIELD = "facility_signature"
IDENTITY_FIELDS = ("patient_name", "patient_kana", "patient_id", "birth_date", "accession_number")

_FIELD_NAME = re.compile(rf"({'|'.join(IDENTITY_FIELDS)})_page([1-9][0-9]*)")
_JAPAN = timezone(timedelta(hours=9), "JST")
_INK = "0.082 0.098 0.106 rg"  # #15191B
_QUIET = "0.31 0.345 0.36 rg"
_LEADING = 1.18
_SMALLEST = 3.0
# "Mr/Ms", as a Japanese report writes it after a name; set a little smaller than the name.
_HONORIFIC = "　様"
_GETA = "〓"


@dataclass(frozen=True)
class _Style:
    """How a field's text is set, in points.

    At `one_line` and below it may run over several lines. `drop` is the distance from the cell's top to the first base
    line; without it, or over several lines, the text is centred.
    """

    bold: bool
    size: float
    one_line: float
    drop: float = 0.0
    second_size: float = 0.0


# Sizes as in the design of the report's identity band.
_STYLES = {
    "patient_name": _Style(bold=True, size=15, one_line=9),
    "patient_kana": _Style(bold=False, size=7, one_line=4),
    "patient_id": _Style(bold=True, size=11, one_line=5.5, drop=13),
    "birth_date": _Style(bold=True, size=10.5, one_line=6, drop=12.5, second_size=7.5),
    "accession_number": _Style(bold=False, size=8.6, one_line=5),
    "seal": _Style(bold=False, size=8.6, one_line=4),
}


@dataclass(frozen=True)
class Seal:
    """The facility's own signature key, made on the box.

    Attributes
    ----------
    key_pem, certificate_pem : bytes
        The seal's key and certificate.
    ca_pem : bytes
        The facility's authority that issued it: what a verifier has to trust. Its key was thrown away after that one use.
    """

    key_pem: bytes
    certificate_pem: bytes
    ca_pem: bytes

    @classmethod
    def make(cls, facility_name: str, facility_code: str, *, at: datetime) -> "Seal":
        """A new seal for a facility, valid for ten years from `at` (aware)."""
        authority = make_ca(f"{facility_name} CA", at=at, organisation=facility_name)
        issued = issue_signing_certificate(
            facility_name, authority, at=at, organisation=facility_name, serial_text=facility_code, days=3650
        )
        return cls(issued.key_pem, issued.certificate_pem, authority.certificate_pem)

    def save(self, folder: Path) -> None:
        """Write the seal durably, readable by its owner only. The certificate comes last: it says that all is there."""
        write_file(folder / "seal.key", self.key_pem)
        write_file(folder / "seal-ca.crt", self.ca_pem)
        write_file(folder / "seal.crt", self.certificate_pem)

    @classmethod
    def load(cls, folder: Path) -> "Seal":
        """The seal that `save` wrote.

        Raises
        ------
        InvalidInput
            It is not there or not whole.
        """
        try:
            return cls(
                *((folder / name).read_bytes() for name in ("seal.key", "seal.crt", "seal-ca.crt")),
            )
        except FileNotFoundError:
            raise InvalidInput("seal", "is missing: enrol the gateway, or restore its keys") from None

    @property
    def owner(self) -> str:
        """The facility's name in the certificate."""
        return str(read_certificates(self.certificate_pem)[0].subject.native["common_name"])


def unprintable(text: str) -> tuple[str, ...]:
    """The characters of a text that the report's typeface cannot print; control characters and U+FFFD among them."""
    fonts = report_fonts()
    found = [*typeface(fonts.regular).missing(text), *typeface(fonts.bold).missing(text)]
    found += [
        character
        for character in text
        if character == "\ufffd" or (not character.isprintable() and character != "\u3000")
    ]
    return tuple(dict.fromkeys(found))


def fill_and_seal(
    pdf: bytes,
    identity_fields: Mapping[str, str],
    seal: Seal,
    *,
    at: datetime,
    language: str = "ja",
) -> bytes:
    """Fill the identity fields of every page and sign for the facility, in one incremental update.

    Parameters
    ----------
    pdf : bytes
        Signed by the reader. The answer starts with exactly these bytes.
    identity_fields : mapping
        Text by the names of `IDENTITY_FIELDS`; a line feed in `birth_date` parts its two lines.
    seal : Seal
        Signs, and locks the fields.
    at : datetime
        Now, aware; printed beside the facility's name.
    language : str
        "ja" or "en": of the words beside the values.

    Raises
    ------
    InvalidInput
        The PDF has not the fields that it must have, a field is already filled, the lock does not name all of them, or a
        text cannot be printed (a character that the typeface lacks, or too long for its cell).
    """
    missing = sorted(set(IDENTITY_FIELDS) - set(identity_fields))
    if missing:
        raise InvalidInput(missing[0], "no text was given")
    for name in IDENTITY_FIELDS:
        if unprintable(identity_fields[name].replace("\n", "")):
            raise InvalidInput(name, "has a character that the typeface lacks", code="not_printable")
    try:
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        fields = _fields(writer)
        _check_fields(writer, fields)
        _fill(writer, fields, identity_fields, _seal_line(seal, at, language), language)
        signer = PdfSigner(
            PdfSignatureMetadata(
                field_name=FACILITY_SIGNATURE_FIELD,
                md_algorithm="sha256",
                subfilter=SigSeedSubFilter.PADES,
                name=seal.owner,
                reason="患者情報の記入" if language == "ja" else "Patient identity filled in",
            ),
            signer=signer_from_pem(seal.key_pem, seal.certificate_pem, seal.ca_pem),
            stamp_style=NoOpStampStyle(),
        )
        target = io.BytesIO()
        asyncio.run(signer.async_sign_pdf(writer, existing_fields_only=True, output=target))
    except (PdfError, KeyError, TypeError) as error:
        raise InvalidInput("pdf", f"cannot be filled ({type(error).__name__})") from error
    return target.getvalue()


def read_identity_fields(pdf: bytes) -> dict[str, str]:
    """The text of every identity field of a PDF by its full name, as `patient_name_page1`."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    return {
        name: str(field.get("/V", ""))
        for name, field in _fields(writer).items()
        if _FIELD_NAME.fullmatch(name)
    }


def _fields(writer: IncrementalPdfFileWriter) -> dict[str, generic.DictionaryObject]:
    """Top-level form fields by name; a name that comes twice is an error."""
    fields: dict[str, generic.DictionaryObject] = {}
    for reference in writer.root["/AcroForm"]["/Fields"]:
        field = reference.get_object()
        name = str(field["/T"])
        if name in fields:
            raise InvalidInput("pdf", "two form fields have one name")
        fields[name] = field
    return fields


def _check_fields(writer: IncrementalPdfFileWriter, fields: Mapping[str, generic.DictionaryObject]) -> None:
    """Every page has every field, empty, and the seal's lock names them all."""
    pages = int(writer.root["/Pages"]["/Count"])
    wanted = {f"{name}_page{number}" for name in IDENTITY_FIELDS for number in range(1, pages + 1)}
    if {name for name in fields if _FIELD_NAME.fullmatch(name)} != wanted:
        raise InvalidInput("pdf", "the identity fields are not one a page")
    if any(fields[name].get("/V", "") != "" for name in wanted):
        raise InvalidInput("pdf", "an identity field is already filled")
    if "/NeedAppearances" in writer.root["/AcroForm"]:
        raise InvalidInput("pdf", "asks the viewer to draw the fields itself")
    seal_field = fields.get(FACILITY_SIGNATURE_FIELD)
    if seal_field is None or "/V" in seal_field:
        raise InvalidInput("pdf", "has no empty field for the facility's signature")
    lock = seal_field["/Lock"]
    if lock["/Action"] != "/Include" or {str(name) for name in lock["/Fields"]} != wanted:
        raise InvalidInput("pdf", "the facility's lock does not name the identity fields")


def _seal_line(seal: Seal, at: datetime, language: str) -> str:
    owner = seal.owner
    for character in unprintable(owner):
        owner = owner.replace(character, _GETA)
    label = "依頼施設" if language == "ja" else "Facility"
    return f"{label}　{owner}　{at.astimezone(_JAPAN):%Y-%m-%d %H:%M} JST"


def _fill(
    writer: IncrementalPdfFileWriter,
    fields: Mapping[str, generic.DictionaryObject],
    identity_fields: Mapping[str, str],
    seal_line: str,
    language: str,
) -> None:
    fonts = report_fonts()
    regular, bold = typeface(fonts.regular), typeface(fonts.bold)
    # Both faces carry all texts: small beside the risk of a glyph that is missing where a layout changes face.
    texts = [*(identity_fields[name].replace("\n", "") for name in IDENTITY_FIELDS), seal_line, _HONORIFIC]
    type_cases = {False: _TypeCase(writer, regular, texts), True: _TypeCase(writer, bold, texts)}
    for full_name, field in fields.items():
        match = _FIELD_NAME.fullmatch(full_name)
        if match is None and full_name != FACILITY_SIGNATURE_FIELD:
            continue
        left, bottom, right, top = (float(number) for number in field["/Rect"])
        width, height = right - left, top - bottom
        name = match[1] if match else "seal"
        text = identity_fields[name] if match else seal_line
        shown = text + _HONORIFIC if name == "patient_name" and language == "ja" else text
        operators = _set_text(type_cases, shown, _STYLES[name], (width, height))
        if operators is None:
            raise InvalidInput(name, "is too long for its cell", code="not_printable")
        if match:
            field["/V"] = generic.TextStringObject(text.replace("\n", " "))
        resources = generic.DictionaryObject(
            {
                pdf_name("/Font"): generic.DictionaryObject(
                    {
                        pdf_name("/F0"): type_cases[False].reference,
                        pdf_name("/F1"): type_cases[True].reference,
                    }
                )
            }
        )
        appearance = generic.StreamObject(
            {
                pdf_name("/Type"): pdf_name("/XObject"),
                pdf_name("/Subtype"): pdf_name("/Form"),
                pdf_name("/BBox"): generic.ArrayObject(
                    [generic.FloatObject(number) for number in (0, 0, round(width, 2), round(height, 2))]
                ),
                pdf_name("/Resources"): resources,
            },
            stream_data=operators.encode("ascii"),
        )
        field["/AP"] = generic.DictionaryObject({pdf_name("/N"): writer.add_object(appearance)})
        writer.update_container(field)


def _wrap(face: Typeface, text: str, capacity: float) -> list[str]:
    """Fill lines of `capacity` em, at a space if there is one, else between any two characters."""
    lines = []
    rest = text
    while rest:
        end = len(rest)
        while end > 1 and face.width(rest[:end]) > capacity:
            end -= 1
        if end < len(rest):
            space = max(rest.rfind(" ", 1, end + 1), rest.rfind("　", 1, end + 1))
            end = space if space > 0 else end
        lines.append(rest[:end].strip(" 　"))
        rest = rest[end:].lstrip(" 　")
    return lines or [""]


def _fit(
    face: Typeface, text: str, style: _Style, width: float, height: float
) -> tuple[float, list[str]] | None:
    """The largest size at which a text fits its cell; several lines only below `one_line` points."""
    size = style.size
    while size >= _SMALLEST:
        lines = _wrap(face, text, width / size)
        fits = max(face.width(line) for line in lines) * size <= width
        if fits and (len(lines) == 1 or (size <= style.one_line and len(lines) * size * _LEADING <= height)):
            return size, lines
        size -= 0.25
    return None


def _set_text(
    cases: "Mapping[bool, _TypeCase]", text: str, style: _Style, cell: tuple[float, float]
) -> str | None:
    """The operators of one field's appearance, or None when the text does not fit its cell (width, height)."""
    width, height = cell
    case = cases[style.bold]
    first, _, second = text.partition("\n")
    room = height - (style.second_size * _LEADING if second else 0)
    fitted = _fit(case.face, first, style, width, room)
    if fitted is None:
        return None
    size, lines = fitted
    parts = ["/Tx BMC q", _INK]
    leading = size * _LEADING
    if style.drop and len(lines) == 1:
        baseline = height - style.drop
    else:
        baseline = (height + len(lines) * leading) / 2 - leading / 2 - size * 0.36
    for line in lines:
        parts.append(case.show(line, size, 0, baseline))
        baseline -= leading
    if second:
        quiet = cases[False]
        small = min(style.second_size, width / quiet.face.width(second))
        parts += [_QUIET, quiet.show(second, small, 0, baseline + leading - style.second_size * 1.4)]
    return " ".join([*parts, "Q EMC"])


class _TypeCase:
    """One face in one PDF: the subset font, embedded, and the operators that use it."""

    def __init__(self, writer: IncrementalPdfFileWriter, face: Typeface, texts: list[str]) -> None:
        self.face = face
        self._font = face.subset(texts)
        self._resource = "/F1" if face.postscript_name.endswith("Bold") else "/F0"
        self.reference = _embed(writer, face, self._font)

    def show(self, text: str, size: float, x: float, y: float) -> str:
        """Operators that print a text with its base line at (x, y)."""
        codes = self.face.encode(text, self._font).hex()
        return f"BT {self._resource} {size:g} Tf {x:g} {y:.2f} Td <{codes}> Tj ET"


def _embed(writer: IncrementalPdfFileWriter, face: Typeface, font: SubsetFont) -> generic.IndirectObject:
    """Add a subset as a composite font with Identity-H (ISO 32000-1, 9.7)."""

    def number(value: float) -> generic.NumberObject:
        return generic.NumberObject(round(value))

    program = generic.StreamObject(stream_data=font.program)
    program[pdf_name("/Length1")] = number(len(font.program))
    program.compress()
    digest = hashlib.sha256(font.program).digest()
    tag = "".join(chr(ord("A") + byte % 26) for byte in digest[:6])
    name = pdf_name(f"/{tag}+{face.postscript_name}")
    descriptor = generic.DictionaryObject(
        {
            pdf_name("/Type"): pdf_name("/FontDescriptor"),
            pdf_name("/FontName"): name,
            pdf_name("/Flags"): number(4),
            pdf_name("/FontBBox"): generic.ArrayObject([number(edge) for edge in face.bounding_box]),
            pdf_name("/ItalicAngle"): number(0),
            pdf_name("/Ascent"): number(face.ascent),
            pdf_name("/Descent"): number(face.descent),
            pdf_name("/CapHeight"): number(face.cap_height),
            pdf_name("/StemV"): number(80),
            pdf_name("/FontFile2"): writer.add_object(program),
        }
    )
    widths = generic.ArrayObject(
        [number(0), generic.ArrayObject([number(font.widths[code]) for code in sorted(font.widths)])]
    )
    descendant = generic.DictionaryObject(
        {
            pdf_name("/Type"): pdf_name("/Font"),
            pdf_name("/Subtype"): pdf_name("/CIDFontType2"),
            pdf_name("/BaseFont"): name,
            pdf_name("/CIDSystemInfo"): generic.DictionaryObject(
                {
                    pdf_name("/Registry"): generic.pdf_string("Adobe"),
                    pdf_name("/Ordering"): generic.pdf_string("Identity"),
                    pdf_name("/Supplement"): number(0),
                }
            ),
            pdf_name("/FontDescriptor"): writer.add_object(descriptor),
            pdf_name("/CIDToGIDMap"): pdf_name("/Identity"),
            pdf_name("/DW"): number(1000),
            pdf_name("/W"): widths,
        }
    )
    to_unicode = generic.StreamObject(stream_data=_to_unicode(font))
    to_unicode.compress()
    return writer.add_object(
        generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/Font"),
                pdf_name("/Subtype"): pdf_name("/Type0"),
                pdf_name("/BaseFont"): name,
                pdf_name("/Encoding"): pdf_name("/Identity-H"),
                pdf_name("/DescendantFonts"): generic.ArrayObject([writer.add_object(descendant)]),
                pdf_name("/ToUnicode"): writer.add_object(to_unicode),
            }
        )
    )


def _to_unicode(font: SubsetFont) -> bytes:
    """The CMap from codes back to text (ISO 32000-1, 9.10.3): what a search in the PDF finds."""
    pairs = [
        f"<{code:04x}> <{text.encode('utf-16-be').hex()}>" for code, text in sorted(font.unicode.items())
    ]
    blocks = []
    for start in range(0, len(pairs), 100):
        block = pairs[start : start + 100]
        blocks.append(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar\n")
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def /CMapType 2 def\n"
        "1 begincodespacerange <0000> <ffff> endcodespacerange\n"
        + "".join(blocks)
        + "endcmap CMapName currentdict /CMap defineresource pop end end"
    ).encode("ascii")
