"""Where identity stands in the pixels of which device: the facility's rules, published ones, and calibration.

What the facility has confirmed is applied. What others have published, and what an ultrasound device says of its scan
regions, is a proposal: it is shown to a person on the first image of a device, who confirms it for all that follow.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from teleread.dicom.deid._device_rules import ROWS
from teleread.dicom.deid.regions import MOST_REGIONS, Region, clipped, outside
from teleread.dicom.raw import Element, RawFile
from teleread.errors import InvalidInput

_WORD_LIMIT = 64
_WORDS_LIMIT = 8

#: Attribute of a rule -> tag whose text has to hold one of its words.
_TEXTS = {
    "manufacturer": 0x00080070,
    "model": 0x00081090,
    "software": 0x00181020,
    "image_type": 0x00080008,
    "description": 0x0008103E,
}


class RuleAction(StrEnum):
    """What a rule does with the images it is for."""

    MASK = "mask"
    CLEAN = "clean"


@dataclass(frozen=True, kw_only=True)
class DeviceRule:
    """Which images a rule is for, and where they show identity.

    Each condition holds when it is empty. Words are sought anywhere in the attribute's value in any case, one of them
    is enough: Manufacturer (0008,0070), Manufacturer's Model Name (0008,1090), Software Versions (0018,1020), Image
    Type (0008,0008), Series Description (0008,103E). `modality` (0008,0060), Rows and Columns are compared whole.

    Attributes
    ----------
    action : RuleAction
        ``mask`` the regions, or take the device's images as ``clean``.
    regions : tuple of Region
        Masked in every frame.
    outside_scan : bool
        Everything outside the scan regions that the device itself gives (0018,6011) is masked too; an image without
        usable ones is not for this rule.
    """

    name: str
    modality: str = ""
    manufacturer: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    software: tuple[str, ...] = ()
    image_type: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()
    action: RuleAction = RuleAction.MASK
    regions: tuple[Region, ...] = ()
    outside_scan: bool = False

    def is_for(self, raw: RawFile) -> bool:
        """Tell whether an image meets the conditions."""
        if self.modality and raw.text(0x00080060).upper() != self.modality.upper():
            return False
        if self.rows and raw.number(0x00280010) not in self.rows:
            return False
        if self.columns and raw.number(0x00280011) not in self.columns:
            return False
        return all(_holds(raw.text(tag), getattr(self, name)) for name, tag in _TEXTS.items())

    def masks(self, raw: RawFile) -> tuple[Region, ...]:
        """Return what the rule masks of an image that it is for; nothing when it cannot be applied."""
        columns, rows = raw.number(0x00280011), raw.number(0x00280010)
        regions = clipped(self.regions, columns, rows)
        if self.outside_scan:
            scan = scan_regions(raw)
            return (*regions, *outside(scan, columns, rows)) if scan else ()
        return regions

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self) | {"regions": [str(region) for region in self.regions]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "DeviceRule":
        """Return the rule that `to_json` wrote, or raise InvalidInput."""
        try:
            return cls(
                name=str(data["name"]),
                modality=str(data["modality"]),
                **{name: tuple(str(word) for word in data[name]) for name in _TEXTS},
                rows=tuple(int(number) for number in data["rows"]),
                columns=tuple(int(number) for number in data["columns"]),
                action=RuleAction(data["action"]),
                regions=tuple(Region.parse(str(box)) for box in data["regions"]),
                outside_scan=bool(data["outside_scan"]),
            )
        except (KeyError, TypeError, ValueError):
            raise InvalidInput("rule", "is not a device rule") from None


def _holds(text: str, words: tuple[str, ...]) -> bool:
    folded = text.casefold()
    return not words or any(word.casefold() in folded for word in words)


def checked_rule(rule: DeviceRule) -> DeviceRule:
    """Return a rule that a facility may use, or raise InvalidInput with the field that is wrong.

    A rule names a device, and boxes are only for the image size that they were drawn on: on another one they would
    hide something else.
    """
    if not rule.name.strip() or len(rule.name) > _WORD_LIMIT:
        raise InvalidInput("name", f"1 to {_WORD_LIMIT} characters")
    if not re.fullmatch(r"[A-Z0-9 _]{0,16}", rule.modality):
        raise InvalidInput("modality", "is not a value of Modality, such as US")
    for name in _TEXTS:
        words = getattr(rule, name)
        if len(words) > _WORDS_LIMIT or any(not 2 <= len(word) <= _WORD_LIMIT for word in words):
            raise InvalidInput(name, f"at most {_WORDS_LIMIT} words of 2 to {_WORD_LIMIT} characters")
    if not (rule.manufacturer or rule.model):
        raise InvalidInput("model", "name the device: manufacturer, model or both")
    for name in ("rows", "columns"):
        if any(not 1 <= number <= 65535 for number in getattr(rule, name)):
            raise InvalidInput(name, "is between 1 and 65535")
    if rule.action is RuleAction.CLEAN:
        if rule.regions or rule.outside_scan:
            raise InvalidInput("regions", "a device that shows nothing has no boxes")
        return rule
    _check_boxes(rule)
    return rule


def _check_boxes(rule: DeviceRule) -> None:
    if not (rule.regions or rule.outside_scan):
        raise InvalidInput("regions", "draw at least one box")
    if len(rule.regions) > MOST_REGIONS:
        raise InvalidInput("regions", f"at most {MOST_REGIONS} boxes")
    if rule.regions and not (len(rule.rows) == len(rule.columns) == 1):
        raise InvalidInput("rows", "boxes are for one image size: say rows and columns")
    for region in rule.regions:
        if region.x + region.width > rule.columns[0] or region.y + region.height > rule.rows[0]:
            raise InvalidInput("regions", f"the box {region} goes beyond the image")


@lru_cache(maxsize=1)
def published_rules() -> tuple[DeviceRule, ...]:
    """Return the starting set."""
    return tuple(
        DeviceRule(
            name=f"{name} ({collector})",
            modality=modality,
            manufacturer=manufacturer,
            model=model,
            image_type=image_type,
            description=description,
            rows=rows,
            columns=columns,
            regions=tuple(Region(*box) for box in boxes),
        )
        for name, collector, modality, manufacturer, model, image_type, description, rows, columns, boxes in ROWS
    )


# Sequence of Ultrasound Regions (0018,6011), PS3.3 C.8.5.5: tags of the corners of one item, each VR UL, inclusive.
_REGIONS = 0x00186011
_CORNERS = (0x00186018, 0x0018601A, 0x0018601C, 0x0018601E)


def _corners(raw: RawFile, elements: list[Element], order: str) -> tuple[int, ...] | None:
    found = {}
    for element in elements:
        if element.tag in _CORNERS and element.value_end - element.value_at == 4:
            (found[element.tag],) = struct.unpack_from(order + "L", raw.data, element.value_at)
    return tuple(found[tag] for tag in _CORNERS) if len(found) == 4 else None


def scan_regions(raw: RawFile) -> tuple[Region, ...]:
    """Return the scan regions that an ultrasound device gives; none when they do not make sense for the image.

    Regions beyond the image's edge are left by software that cut or scaled the picture without a look at them: where
    the scan is then, nobody knows. Some devices count the last column and row one too far.
    """
    sequence = raw.find(_REGIONS)
    if sequence is None or not sequence.items:
        return ()
    columns, rows = raw.number(0x00280011), raw.number(0x00280010)
    found: list[Region] = []
    for item in sequence.items:
        corners = _corners(raw, item.elements, item.syntax.order)
        if corners is None:
            return ()
        left, top, right, bottom = corners
        if not (left < right <= columns and top < bottom <= rows):
            return ()
        found.append(Region(left, top, min(right + 1, columns) - left, min(bottom + 1, rows) - top))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Boxes that hide where identity is likely to stand, and why: the name of a rule, ``scan_regions`` or nothing."""

    regions: tuple[Region, ...] = ()
    rules: tuple[str, ...] = ()


NO_PROPOSAL = Proposal()


def proposal_for(raw: RawFile) -> Proposal:
    """Return what calibration and the published rules would mask."""
    columns, rows = raw.number(0x00280011), raw.number(0x00280010)
    regions: list[Region] = []
    rules: list[str] = []
    scan = scan_regions(raw)
    if scan:
        beyond = outside(scan, columns, rows)
        regions += beyond
        rules += ["scan_regions"] if beyond else []
    for rule in published_rules():
        if rule.is_for(raw):
            boxes = [box for box in rule.masks(raw) if not _covered(box, regions)]
            regions += boxes
            rules += [rule.name] if boxes else []
            break
    return Proposal(tuple(regions[:MOST_REGIONS]), tuple(rules))


def _covered(box: Region, by: list[Region]) -> bool:
    return any(
        one.x <= box.x
        and one.y <= box.y
        and one.x + one.width >= box.x + box.width
        and one.y + one.height >= box.y + box.height
        for one in by
    )


@dataclass(frozen=True, slots=True)
class Device:
    """What made an image, and how large it is: images that are alike in this show identity in the same places."""

    modality: str = ""
    manufacturer: str = ""
    model: str = ""
    rows: int = 0
    columns: int = 0
    frames: int = 1

    def __str__(self) -> str:
        words = [part for part in (self.modality, self.manufacturer, self.model) if part]
        return " ".join([*words, f"{self.columns}×{self.rows}"])


def device_of(raw: RawFile) -> Device:
    """Return what made an image."""
    return Device(
        raw.text(0x00080060)[:16],
        raw.text(0x00080070)[:_WORD_LIMIT],
        raw.text(0x00081090)[:_WORD_LIMIT],
        raw.number(0x00280010),
        raw.number(0x00280011),
        max(raw.number(0x00280008, 1), 1),
    )


def rule_from(raw: RawFile, regions: tuple[Region, ...]) -> DeviceRule:
    """Return the rule that masks the same places of every later image of the same device and size.

    Boxes that are just what lies outside the device's scan regions follow those of each image.

    Raises
    ------
    InvalidInput
        The image does not say what made it, so no rule can know it again.
    """
    device = device_of(raw)
    scan = scan_regions(raw)
    beyond = set(outside(scan, device.columns, device.rows)) if scan else set()
    follows = bool(beyond) and beyond <= set(regions)
    return checked_rule(
        DeviceRule(
            name=str(device)[:_WORD_LIMIT],
            modality=device.modality,
            manufacturer=(device.manufacturer,) if device.manufacturer else (),
            model=(device.model,) if device.model else (),
            rows=(device.rows,),
            columns=(device.columns,),
            regions=tuple(region for region in regions if not (follows and region in beyond)),
            outside_scan=follows,
        )
    )


class Reading(StrEnum):
    """Which images the text reader looks at, where one is installed."""

    OFF = "off"
    RISKY = "risky"
    ALL = "all"


class Unconfirmed(StrEnum):
    """What is done with images whose boxes no person of the facility has confirmed."""

    HOLD = "hold"
    MASK = "mask"


@dataclass(frozen=True)
class PixelPolicy:
    """What a facility has decided about identity in pixels."""

    rules: tuple[DeviceRule, ...] = ()
    reading: Reading = Reading.RISKY
    unconfirmed: Unconfirmed = Unconfirmed.HOLD

    def rules_for(self, raw: RawFile) -> Iterator[DeviceRule]:
        """Yield the facility's rules that an image meets and that can be applied to it."""
        for rule in self.rules:
            if rule.is_for(raw) and (rule.action is RuleAction.CLEAN or rule.masks(raw)):
                yield rule


DEFAULT_POLICY = PixelPolicy()
