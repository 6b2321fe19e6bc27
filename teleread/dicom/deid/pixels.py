"""Which objects may show identity in their pixels, and what is done about it, told from the header alone.

The rule errs on the safe side: an object of a kind that people print names into leaves only when its maker says that
nothing is burned in, or when the facility has confirmed where its device prints; what is held waits for a person.
"""

from dataclasses import dataclass

from pydicom._uid_dict import UID_dictionary

from teleread.dicom.deid.device_rules import (
    DEFAULT_POLICY,
    NO_PROPOSAL,
    PixelPolicy,
    Proposal,
    RuleAction,
    Unconfirmed,
    proposal_for,
)
from teleread.dicom.deid.regions import Region
from teleread.dicom.raw import PIXEL_TAGS, RawFile, fragments

_ENCAPSULATED_DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104."
_VISIBLE_LIGHT = "1.2.840.10008.5.1.4.1.1.77.1."
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_DIRECTORY = "1.2.840.10008.1.3.10"

#: SOP Classes, or roots of them, whose images commonly carry printed identity whatever their Image Type says
#: (PS3.3 A.6, A.7, A.32); Secondary Capture (A.8) is judged by its Image Type too.
_NEVER_ACQUIRED = (
    "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame, with the retired 3
    "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound, retired and enhanced ones too
    _VISIBLE_LIGHT,
)

#: Image Type words (any value) of screens, dose sheets and montages kept as ordinary CT or MR objects.
_SCREEN_WORDS = frozenset(
    {"SCREEN SAVE", "SCREENSAVE", "SCREEN SHOT", "SCREENSHOT", "SCREEN", "DOSE", "DOSE_INFO"}
)

#: Conversion Type (0008,0064), PS3.3 C.8.6.1: digitised film and paper, video, drawings, scanned documents.
_RISKY_CONVERSIONS = frozenset({"DV", "DI", "DF", "SD", "SI", "DRW"})

#: Modality -> Image Type value 3 (and on) of acquired images: PS3.3 C.8.2.1.1.1 (CT), C.8.3.1.1.1 (MR), C.8.4.9.1.1 (NM).
ACQUISITION_TERMS = {
    "CT": frozenset({"AXIAL", "LOCALIZER"}),
    "MR": frozenset({"DENSITY MAP", "DIFFUSION MAP", "MPR", "PHASE MAP", "PROJECTION IMAGE", "T1 MAP", "T2 MAP"}),
    "NM": frozenset({
        "STATIC", "DYNAMIC", "GATED", "WHOLE BODY", "TOMO", "GATED TOMO", "RECON TOMO", "RECON GATED TOMO", "EMISSION",
        "TRANSMISSION",
    }),
}  # fmt: skip

#: Bits of one sample relative to those the photometric interpretation says (PS3.3 C.7.6.3.1.2).
_SUBSAMPLED = {"YBR_FULL_422": (2, 3), "YBR_PARTIAL_422": (2, 3), "YBR_PARTIAL_420": (1, 2)}

_STORAGE = frozenset(
    uid
    for uid, entry in UID_dictionary.items()
    if entry[1] == "SOP Class"
    and " Storage" in entry[0]
    and "Commitment" not in entry[0]
    and uid != _DIRECTORY
)

_IMAGES = frozenset(uid for uid in _STORAGE if "Image Storage" in UID_dictionary[uid][0])


def _of_root(uid: str, *roots: str) -> bool:
    return any(uid == root or uid.startswith(root.rstrip(".") + ".") for root in roots)


def _acquired(raw: RawFile, image_type: list[str]) -> bool:
    terms = ACQUISITION_TERMS.get(raw.text(0x00080060), frozenset())
    return (
        len(image_type) > 2 and image_type[1] == "PRIMARY" and any(word in terms for word in image_type[2:])
    )


def _class_reason(raw: RawFile, sop_class: str) -> str | None:
    if not sop_class:
        return "no_sop_class"
    if sop_class == _DIRECTORY:
        return "directory"
    if sop_class not in _STORAGE:
        return "unknown_sop_class"
    if sop_class.startswith(_ENCAPSULATED_DOCUMENTS) or raw.find(0x00420011) is not None:
        return "encapsulated_document"
    return None


def _overlay_in_pixels(raw: RawFile) -> bool:
    # An overlay without data of its own is drawn into unused bits of the pixels and travels with them.
    overlays = [element.tag for element in raw.elements if 0x6000 <= element.tag >> 16 <= 0x60FF]
    with_data = {tag >> 16 for tag in overlays if tag & 0xFFFF == 0x3000}
    return any(tag & 0xFFFF == 0x0102 and tag >> 16 not in with_data and raw.number(tag) for tag in overlays)


def _shows_names(raw: RawFile, sop_class: str) -> bool:
    image_type = [word.strip().upper() for word in raw.text(0x00080008).split("\\")]
    if _SCREEN_WORDS.intersection(image_type):
        return True
    if _of_root(sop_class, *_NEVER_ACQUIRED):
        return True
    risky = _of_root(sop_class, _SECONDARY_CAPTURE) or raw.text(0x00080064).upper() in _RISKY_CONVERSIONS
    return risky and not _acquired(raw, image_type)


@dataclass(frozen=True, slots=True)
class PixelPlan:
    """What is to be done about the pixels of an object.

    Attributes
    ----------
    reason : str or None
        Why a person has to look at it first, as a code of HELD_REASONS; None when it may go on.
    regions : tuple of Region
        To be masked before it goes on.
    rules : tuple of str
        Names of the rules that say so, ``scan_regions`` for the device's own calibration, ``person`` for a hand.
    proposal : Proposal
        Of a held one: where identity is likely to stand.
    is_risky : bool
        It is of a kind that people print names into.
    """

    reason: str | None = None
    regions: tuple[Region, ...] = ()
    rules: tuple[str, ...] = ()
    proposal: Proposal = NO_PROPOSAL
    is_risky: bool = False


#: The name of the rule under which a person's own boxes are recorded.
BY_HAND = "person"


def _hides_the_head(raw: RawFile, regions: tuple[Region, ...]) -> bool:
    # Devices print the patient into the top lines. Boxes that leave them open are not enough unseen.
    columns, rows = raw.number(0x00280011), raw.number(0x00280010)
    return any(
        region.y == 0 and region.height >= max(12, rows // 50) and region.width >= columns * 3 // 4
        for region in regions
    )


def plan_for(
    raw: RawFile,
    policy: PixelPolicy = DEFAULT_POLICY,
    *,
    pixels_looked_at: bool = False,
    masks: tuple[Region, ...] = (),
) -> PixelPlan:
    """Return what is to be done about an object's pixels.

    Parameters
    ----------
    raw : RawFile
    policy : PixelPolicy
        What the facility has decided.
    pixels_looked_at : bool
        A person has seen the image itself. What a viewer does not show still holds it.
    masks : tuple of Region
        What that person wants hidden.
    """
    sop_class = raw.text(0x00080016)
    reason = _class_reason(raw, sop_class)
    if reason is not None:
        return PixelPlan(reason)
    burned_in = raw.text(0x00280301).upper()
    shows = _shows_names(raw, sop_class)
    is_risky = shows or burned_in == "YES"
    if _overlay_in_pixels(raw):
        # The boxes of a person do not reach the bits that no viewer shows.
        return PixelPlan("burned_in" if burned_in == "YES" and not pixels_looked_at else "drawn_in_pixels")
    if masks:
        return PixelPlan(None, masks, (BY_HAND,), is_risky=is_risky)
    if pixels_looked_at:
        return PixelPlan(is_risky=is_risky)
    for rule in policy.rules_for(raw):
        regions = rule.masks(raw) if rule.action is RuleAction.MASK else ()
        return PixelPlan(None, regions, (rule.name,), is_risky=is_risky)
    return _unconfirmed(raw, policy, burned_in, shows=shows)


def _unconfirmed(raw: RawFile, policy: PixelPolicy, burned_in: str, *, shows: bool) -> PixelPlan:
    # Any other word than NO says as little as none (PS3.3 C.7.6.1).
    if burned_in != "YES" and (burned_in == "NO" or not shows):
        return PixelPlan(is_risky=shows)
    proposal = proposal_for(raw)
    if policy.unconfirmed is Unconfirmed.MASK and _hides_the_head(raw, proposal.regions):
        return PixelPlan(None, proposal.regions, proposal.rules, is_risky=True)
    return PixelPlan("burned_in" if burned_in == "YES" else "risky_kind", proposal=proposal, is_risky=True)


def expected_pixel_bytes(raw: RawFile) -> int:
    """Return how many bytes uncompressed pixel data needs by its own header; 0 when the header does not say."""
    rows, columns = raw.number(0x00280010), raw.number(0x00280011)
    samples = raw.number(0x00280002, 1) or 1
    frames = max(raw.number(0x00280008, 1), 1)
    bits = rows * columns * samples * frames * raw.number(0x00280100)
    share, whole = _SUBSAMPLED.get(raw.text(0x00280004), (1, 1))
    return (bits * share // whole + 7) // 8


def pixels_missing(raw: RawFile) -> str | None:
    """Return ``no_pixel_data`` for an image without any, ``truncated`` for less than the header says, or None."""
    if any(raw.find(tag) is not None for tag in PIXEL_TAGS):
        return "truncated" if _cut_off(raw) else None
    # A file cut between two elements looks whole; an image that ends with the description of its pixels gives itself
    # away. Images without pixels that go on behind it are sent out on purpose (and are seen in the wild).
    ends_there = bool(raw.elements) and raw.elements[-1].tag >> 16 == 0x0028
    return "no_pixel_data" if ends_there and raw.text(0x00080016) in _IMAGES else None


def _cut_off(raw: RawFile) -> bool:
    for tag in PIXEL_TAGS:
        element = raw.find(tag)
        if element is None:
            continue
        if element.undefined:
            pieces = list(fragments(raw, element))[1:]
            frames = max(raw.number(0x00280008, 1), 1)
            return len(pieces) < frames or any(start == end for start, end in pieces[:1])
        return element.value_end - element.value_at < expected_pixel_bytes(raw)
    return False
