"""Report content -> PDF/A-3a with one empty form field a page for each item of identity.

The page is HTML and CSS (`templates/report/`), set by WeasyPrint. What WeasyPrint leaves open is finished with pikepdf:
form fields with a name and an empty appearance of their own, the two signature fields, metadata without clock or chance.
The same content gives the same bytes, in any process, on any day.

The fields lie exactly on the cells of the page: each cell is an anchor, and WeasyPrint tells where its anchors came to lie.
"""

import ctypes
import hashlib
import io
import multiprocessing
import re
import resource
import unicodedata
import uuid
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape as escape_xml

import jinja2
import pikepdf
import segno
import weasyprint
from markupsafe import Markup, escape
from pikepdf import Array, Dictionary, Name, String
from weasyprint.text.fonts import FontConfiguration

from teleread.domain.identifiers import format_case_number
from teleread.domain.reporting import SECTIONS
from teleread.errors import InvalidInput, Unavailable
from teleread.lettering import Typeface
from teleread.rendering import characters
from teleread.rendering.context import ReportContent, age_text, moment_text, study_time_text, words
from teleread.rendering.fetcher import OnlyOurs
from teleread.resources import templates_folder

IDENTITY_FIELDS = ("patient_name", "patient_kana", "patient_id", "birth_date", "accession_number")
READER_SIGNATURE_FIELD = "reader_signature"
FACILITY_SIGNATURE_FIELD = "facility_signature"
ATTACHMENT_NAME = "report.json"

# What stands in for a character that the typeface lacks: the geta mark of Japanese type-setting.
GETA = "〓"
#: What a cell of the request takes on the first page, and in the head of the others, in half-width characters.
_CELL_WIDTH = 140
_NEXT_CELL_WIDTH = 42
_PIXEL = 0.75  # CSS pixel in points
_UNITS = "mm|cm|µm|μm|m|kg|g|mg|mL|ml|L|HU|Gy|mGy|MBq|ms|s|min|T|kV|mA|°C|℃|%"
_NUMBER_AND_UNIT = re.compile(rf"(\d) ((?:{_UNITS})(?![A-Za-z]))")
_ACCENT_RULE = "0.54 0.56 0.55"

_PRINT = 4  # annotation flag, ISO 32000-1 table 165
_LOCKED = 128
_APPEND_AND_SIGN = 3  # SigFlags: signatures exist, append only; ISO 32000-1 table 219


@dataclass(frozen=True)
class RenderedReport:
    """A report as the reader sees it before signing.

    Attributes
    ----------
    pdf : bytes
        The unsigned PDF.
    sha256 : str
        Of `pdf`, in hexadecimal.
    pages : int
        Number of pages.
    missing_glyphs : tuple of str
        Characters of the content that the typeface lacks; each is printed as a marked geta sign.
    """

    pdf: bytes
    sha256: str
    pages: int
    missing_glyphs: tuple[str, ...]


class _Setter:
    """What is read once a process: fonts, style sheet, template."""

    def __init__(self) -> None:
        folder = templates_folder() / "report"
        self.fetcher = OnlyOurs(folder)
        self.base_url = folder.as_uri() + "/"
        self.font_config = FontConfiguration()
        self.css = weasyprint.CSS(
            filename=folder / "report.css",
            base_url=self.base_url,
            font_config=self.font_config,
            url_fetcher=self.fetcher,
        )
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["shown"] = self.shown
        self.template = environment.get_template("radiology.html")

    def shown(self, text: str) -> Markup:
        """A text for the page: markup escaped, missing characters flagged, numbers kept with their unit."""
        text = characters.readable(text)
        for character in characters.missing(text):
            text = text.replace(character, "\ue000")
        html = str(escape(text)).replace("\ue000", f'<span class="missing">{GETA}</span>')
        return Markup(_NUMBER_AND_UNIT.sub(r'<span class="unbroken">\1 \2</span>', html))  # noqa: S704 - escaped above


@lru_cache(maxsize=1)
def _setter() -> _Setter:
    return _Setter()


def _spaced(label: str, language: str) -> str:
    """Two-character Japanese labels are set apart, as forms do: 所　見."""
    return f"{label[0]}　{label[1]}" if language == "ja" and len(label) == 2 else label


def _grouped(digest: str) -> tuple[str, str]:
    groups = [digest[position : position + 4].upper() for position in range(0, 64, 4)]
    return " ".join(groups[:8]), " ".join(groups[8:])


def _width(text: str) -> int:
    """Width of a text in half-width characters (UAX #11: wide and full width count two)."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _fitted(text: str, width: int) -> str:
    """The text, or as much of its beginning as a cell takes, with a mark that there is more."""
    if _width(text) <= width:
        return text
    kept, left = [], width - 2
    for character in text:
        left -= _width(character)
        if left < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + " …"


def _page_values(content: ReportContent, missing: tuple[str, ...]) -> dict[str, Any]:
    """Everything that the template prints."""
    w = words(content.language)
    digest = content.digest()
    version = w["version"].format(content.version)
    status = f"{w[f'status_{content.status}']}　{version}"
    if content.kind != "report":
        relation = {"correction": "corrects", "addendum": "adds_to"}[content.kind]
        status += f"　{w[relation].format(content.corrects_version)}"
    signed_at = moment_text(content.signed_at_text, content.language)
    sex = w.get(f"sex_{content.sex}", content.sex)
    code = segno.make(f"teleread:{content.case_number}:{content.version}:{digest}", error="m", micro=False)
    svg = code.svg_inline(border=0, omitsize=True, title=w["qr_alternative"])
    cells = {
        "facility": content.facility_name,
        "department_doctor": "　".join(part for part in (content.department, content.doctor) if part),
        "priority": w.get(f"priority_{content.priority}", content.priority),
        "examination": " ".join(part for part in (content.modality, content.examination) if part),
        "pseudonym": content.pseudonym,
    }
    # A cell that grows beyond its page takes the form fields along; what it cannot hold stands in full below.
    whole = [(name, text) for name, text in cells.items() if _fitted(text, _CELL_WIDTH) != text]
    return {
        "content": content,
        "w": w,
        "title": w[f"title_{content.kind}"],
        "case_number": format_case_number(content.case_number),
        "version_text": version,
        "status_text": status,
        "sex_age": "　".join(part for part in (sex, age_text(content.age, content.language)) if part),
        **{name: _fitted(text, _CELL_WIDTH) for name, text in cells.items()},
        "next_examination": _fitted(cells["examination"], _NEXT_CELL_WIDTH),
        "next_pseudonym": _fitted(content.pseudonym, _NEXT_CELL_WIDTH),
        "study_time": _fitted(
            study_time_text(content.study_date, content.study_time, content.language), _NEXT_CELL_WIDTH
        ),
        "images": w["image_count"].format(content.image_count),
        "sections": [
            {
                "key": "whole",
                "label": w[name],
                "paragraphs": characters.readable(text).strip("\n").split("\n"),
            }
            for name, text in whole
        ]
        + [
            {
                "key": key,
                "label": _spaced(w[key], content.language),
                "paragraphs": characters.readable(text).strip("\n").split("\n"),
            }
            for key in SECTIONS
            if (text := content.sections.get(key, "")).strip()
        ],
        "signer_role": w[f"signer_{content.status}"],
        "licence": w["licence_number"].format(content.signer_licence) if content.signer_licence else "",
        "signed_at": w[f"signed_{content.status}"].format(signed_at) if signed_at else "",
        "digest_lines": _grouped(digest),
        "qr": Markup(svg),  # noqa: S704 - made by segno from digits and letters of our own
        "missing": w["missing"].format(", ".join(_code_points(character) for character in missing))
        if missing
        else "",
    }


def _code_points(characters: str) -> str:
    return "+".join(f"U+{ord(character):04X}" for character in characters)


def _printed_texts(content: ReportContent) -> list[str]:
    return [value for value in vars(content).values() if isinstance(value, str)] + list(
        content.sections.values()
    )


def render_report(content: ReportContent) -> RenderedReport:
    """Set a report.

    Parameters
    ----------
    content : ReportContent
        What to print; also attached as `report.json`.

    Returns
    -------
    RenderedReport
        Bytes that depend on `content` and the installed libraries only.

    Raises
    ------
    InvalidInput
        The case number is not one.
    """
    setter = _setter()
    missing = tuple(
        dict.fromkeys(character for text in _printed_texts(content) for character in characters.missing(text))
    )
    values = _page_values(content, missing)
    moment = _moment(content.signed_at_text)
    document = weasyprint.HTML(
        string=setter.template.render(values), base_url=setter.base_url, url_fetcher=setter.fetcher
    ).render(stylesheets=[setter.css], font_config=setter.font_config)
    places = [
        {name: _place(rectangle, page.height) for name, rectangle in page.anchors.items()}
        for page in document.pages
    ]
    attachment = weasyprint.Attachment(
        string=content.canonical_json(),
        name=ATTACHMENT_NAME,
        description="The content that is signed, as data",
        relationship="Data",
        created=moment,
        modified=moment,
    )
    with warnings.catch_warnings():
        # WeasyPrint 70 leaves its own colour profile's file to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        plain = document.write_pdf(pdf_variant="pdf/a-3a", attachments=[attachment])
    with pikepdf.open(io.BytesIO(plain)) as pdf:
        _finish(pdf, content, places, values["title"] + " " + values["case_number"], moment)
        target = io.BytesIO()
        pdf.save(
            target,
            deterministic_id=True,
            linearize=False,
            object_stream_mode=pikepdf.ObjectStreamMode.disable,
            fix_metadata_version=False,
        )
    data = target.getvalue()
    return RenderedReport(data, hashlib.sha256(data).hexdigest(), len(document.pages), missing)


def _moment(text: str) -> datetime:
    """The time for the metadata: that of review, or a fixed one when it is not a machine-readable time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime(1980, 1, 1, tzinfo=UTC)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def _place(
    rectangle: tuple[float, float, float, float], page_height: float
) -> tuple[float, float, float, float]:
    """CSS pixels from the top left (x1, y1, x2, y2) -> PDF points from the bottom left."""
    left, top, right, bottom = rectangle
    return (
        round(left * _PIXEL, 2),
        round((page_height - bottom) * _PIXEL, 2),
        round(right * _PIXEL, 2),
        round((page_height - top) * _PIXEL, 2),
    )


def _finish(
    pdf: pikepdf.Pdf,
    content: ReportContent,
    places: list[dict[str, tuple[float, float, float, float]]],
    title: str,
    moment: datetime,
) -> None:
    """Add fields, tags and metadata."""
    root = pdf.Root
    if Name.Dests in root.get(Name.Names, {}):
        del root.Names[Name.Dests]
    # WeasyPrint 70 names the one attachment twice.
    root.AF = Array([root.AF[0]])
    _attach_margin_tags(pdf)
    fields = _identity_fields(pdf, content, places)
    fields += _signature_fields(pdf, content, places, [str(field.T) for field in fields])
    root.AcroForm = pdf.make_indirect(Dictionary(Fields=Array(fields), SigFlags=_APPEND_AND_SIGN))
    _write_metadata(pdf, content, title, moment)


def _widget(
    pdf: pikepdf.Pdf, page: pikepdf.Page, rectangle: tuple[float, float, float, float], **entries: Any
) -> pikepdf.Object:
    """A form field that is its own widget, on one page."""
    widget = pdf.make_indirect(
        Dictionary(
            Type=Name.Annot,
            Subtype=Name.Widget,
            Rect=Array([round(number, 2) for number in rectangle]),
            P=page.obj,
            **entries,
        )
    )
    if Name.Annots not in page.obj:
        page.obj.Annots = pdf.make_indirect(Array())
    page.obj.Annots.append(widget)
    return widget


def _identity_fields(
    pdf: pikepdf.Pdf, content: ReportContent, places: list[dict[str, tuple[float, float, float, float]]]
) -> list[pikepdf.Object]:
    """One text field a page and item, each with a name of its own.

    Sibling fields of one name, one parent with a kid a page, or a reference from the tag tree (OBJR): with any of these,
    pyHanko finds later filling unexplained and the reader's signature invalid. So the fields stand outside the tags;
    each has its label as alternate name (TU).
    """
    w = words(content.language)
    face = characters.faces()[0]
    fields = []
    for number, (page, anchors) in enumerate(zip(pdf.pages, places, strict=True), start=1):
        prefix = "first" if number == 1 else "next"
        for name in IDENTITY_FIELDS:
            left, bottom, right, top = anchors[f"{prefix}-{name}"]
            width, height = right - left, top - bottom
            hint = "" if name == "patient_kana" else w["filled_at_facility"]
            appearance = pikepdf.Stream(pdf, _empty_appearance(face, width, height, hint))
            appearance.stream_dict = Dictionary(
                Type=Name.XObject,
                Subtype=Name.Form,
                BBox=Array([0, 0, round(width, 2), round(height, 2)]),
                Resources=Dictionary(),
            )
            field = _widget(
                pdf,
                page,
                (left, bottom, right, top),
                FT=Name.Tx,
                T=String(f"{name}_page{number}"),
                TU=String(w[name]),
                V=String(""),
                DA=String("0 g"),
                F=_PRINT,
                AP=Dictionary(N=pdf.make_indirect(appearance)),
            )
            fields.append(field)
    return fields


@lru_cache(maxsize=256)
def _empty_appearance(face: Typeface, width: float, height: float, hint: str) -> bytes:
    """A dashed line to write on, with a hint drawn as shapes: nothing that a text search would find."""
    line = f"q {_ACCENT_RULE} RG 0.5 w [1.6 1.6] 0 d 0 {0.6:g} m {width:.2f} {0.6:g} l S Q"
    if not hint:
        return line.encode()
    size = min(6.4, height * 0.55, width * 0.9 / face.width(hint))
    return f"{line} q 0.42 0.45 0.46 rg {face.outlines(hint, size=size, x=0.6, y=2.4)} f Q".encode()


def _signature_fields(
    pdf: pikepdf.Pdf,
    content: ReportContent,
    places: list[dict[str, tuple[float, float, float, float]]],
    identity_names: list[str],
) -> list[pikepdf.Object]:
    """The reader's field (unseen) and the facility's, which locks the identity fields once it is signed.

    Both exist before the reader certifies, so that the facility fills a field that the reader has approved.
    """
    w = words(content.language)
    page = pdf.pages[-1]
    empty = pikepdf.Stream(pdf, b"\n")
    empty.stream_dict = Dictionary(
        Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 0, 0]), Resources=Dictionary()
    )
    reader = _widget(
        pdf,
        page,
        (0, 0, 0, 0),
        FT=Name.Sig,
        T=String(READER_SIGNATURE_FIELD),
        TU=String(w["signature_reader"]),
        F=_PRINT | _LOCKED,
        AP=Dictionary(N=pdf.make_indirect(empty)),
    )
    left, bottom, right, top = places[-1]["seal"]
    blank = pikepdf.Stream(pdf, b"\n")
    blank.stream_dict = Dictionary(
        Type=Name.XObject,
        Subtype=Name.Form,
        BBox=Array([0, 0, round(right - left, 2), round(top - bottom, 2)]),
        Resources=Dictionary(),
    )
    facility = _widget(
        pdf,
        page,
        (left, bottom, right, top),
        FT=Name.Sig,
        T=String(FACILITY_SIGNATURE_FIELD),
        TU=String(w["signature_facility"]),
        F=_PRINT | _LOCKED,
        AP=Dictionary(N=pdf.make_indirect(blank)),
        Lock=pdf.make_indirect(
            Dictionary(
                Type=Name.SigFieldLock,
                Action=Name.Include,
                Fields=Array([String(name) for name in identity_names]),
            )
        ),
    )
    return [reader, facility]


def _top_element(element: pikepdf.Object, document: pikepdf.Object) -> tuple[pikepdf.Object, bool]:
    """The ancestor directly below the document element, and whether a `Sect` lies on the way (the running head)."""
    section = False
    while element.P.objgen != document.objgen:
        section = section or Name.Sect == element.S
        element = element.P
    return element, section or Name.Sect == element.S


def _attach_margin_tags(pdf: pikepdf.Pdf) -> None:
    """Hang the tags of running heads and feet, which WeasyPrint leaves loose, where they are read: around their page."""
    tree = pdf.Root.StructTreeRoot
    document = tree.K[0]
    attached = {element.objgen for element in document.K}
    numbers = tree.ParentTree.Nums
    for position in range(len(pdf.pages)):
        head: list[pikepdf.Object] = []
        foot: list[pikepdf.Object] = []
        seen = set()
        for leaf in numbers[2 * position + 1]:
            top, section = _top_element(leaf, document)
            if top.objgen not in attached and top.objgen not in seen:
                seen.add(top.objgen)
                (head if section else foot).append(top)
        page = pdf.pages[position]
        _insert_elements(pdf, page, head)
        _insert_elements(pdf, page, foot, after=True)


def _insert_elements(
    pdf: pikepdf.Pdf, page: pikepdf.Page, elements: list[pikepdf.Object], *, after: bool = False
) -> None:
    """Put elements before (or after) those of a page in the reading order."""
    if not elements:
        return
    document = pdf.Root.StructTreeRoot.K[0]
    kids = list(document.K)
    here = [position for position, kid in enumerate(kids) if kid.Pg.objgen == page.obj.objgen]
    position = len(kids)
    if here:
        position = here[-1] + 1 if after else here[0]
    document.K = Array(kids[:position] + elements + kids[position:])


_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" pdfaid:part="3" pdfaid:conformance="A"/>
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:format>application/pdf</dc:format>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
<dc:language><rdf:Bag><rdf:li>{language}</rdf:li></rdf:Bag></dc:language>
</rdf:Description>
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
 xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/">
<xmp:CreateDate>{moment}</xmp:CreateDate><xmp:ModifyDate>{moment}</xmp:ModifyDate>
<pdf:Producer>teleread</pdf:Producer>
<xmpMM:DocumentID>uuid:{identifier}</xmpMM:DocumentID>
</rdf:Description>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def _write_metadata(pdf: pikepdf.Pdf, content: ReportContent, title: str, moment: datetime) -> None:
    """Info dictionary and XMP that agree, without clock or chance."""
    identifier = uuid.uuid5(uuid.NAMESPACE_OID, content.digest())
    xmp = _XMP.format(
        title=escape_xml(title),
        language=content.language,
        moment=moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        identifier=identifier,
    )
    stream = pikepdf.Stream(pdf, xmp.encode())
    stream.stream_dict = Dictionary(Type=Name.Metadata, Subtype=Name.XML)
    pdf.Root.Metadata = pdf.make_indirect(stream)
    stamp = moment.strftime("D:%Y%m%d%H%M%SZ")
    for key in list(pdf.docinfo.keys()):
        del pdf.docinfo[key]
    pdf.docinfo["/Title"] = String(title)
    pdf.docinfo["/Producer"] = String("teleread")
    pdf.docinfo["/CreationDate"] = String(stamp)
    pdf.docinfo["/ModDate"] = String(stamp)


#: Type and code of what went wrong in the child; a result is longer.
_REFUSAL_LENGTH = 2


def _limit_and_render(sender: Connection, content: dict[str, Any], memory_bytes: int, seconds: int) -> None:
    """In the child: no more memory and processor time than allowed, and no life beyond the parent's."""
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
    # A fork brings its parent's address space along; stacks of a parent's threads alone can be half a gigabyte.
    brought = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (brought + memory_bytes, brought + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        rendered = render_report(ReportContent.from_json(content))
        sender.send((rendered.pdf, rendered.sha256, rendered.pages, rendered.missing_glyphs))
    except InvalidInput as error:
        sender.send((type(error).__name__, error.code))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent is told
        # The type only: a message could quote the report.
        sender.send((type(error).__name__, "render_failed"))
    sender.close()


def warm_up() -> None:
    """Read fonts, style sheet and template, and set one small page, so that a fork starts warm."""
    render_report(
        ReportContent(case_number="00000000", facility_name="-", study_instance_uid="", pseudonym="-")
    )


def render_in_child(
    content: ReportContent, *, seconds: int = 60, memory_bytes: int = 1 << 30
) -> RenderedReport:
    """`render_report` in a process of its own, so that a report that breaks the PDF maker breaks nothing else.

    Parameters
    ----------
    content : ReportContent
        What to print.
    seconds : int
        Longest time, on the wall and of the processor.
    memory_bytes : int
        Largest address space of the child, beyond what it has from its parent.

    Raises
    ------
    InvalidInput
        The content cannot be set, and never will be.
    Unavailable
        The child failed, died, or took too long. The same content may be tried again.
    """
    # Read here, not in the child: its fonts lie in a folder for temporary files that a killed child would leave behind.
    _setter()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(
        target=_limit_and_render, args=(sender, content.to_json(), memory_bytes, seconds), daemon=True
    )
    child.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise Unavailable("the report took too long to set", code="render_timeout")
        try:
            answer = receiver.recv()
        except EOFError:
            raise Unavailable("the PDF maker stopped without a result", code="render_failed") from None
    finally:
        receiver.close()
        child.kill()
        child.join()
        child.close()
    if len(answer) == _REFUSAL_LENGTH:
        kind, code = answer
        if kind == InvalidInput.__name__:
            raise InvalidInput("content", "cannot be set", code=code)
        raise Unavailable(f"the PDF maker failed ({kind})", code=code)
    pdf, sha256, pages, missing = answer
    if hashlib.sha256(pdf).hexdigest() != sha256:
        raise Unavailable("the PDF changed between two processes", code="render_failed")
    return RenderedReport(pdf, sha256, pages, missing)
