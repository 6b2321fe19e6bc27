"""Private attributes that are known to be safe: PS3.15 Table E.3.10-1, for the Retain Safe Private Option.

What is not in the table goes, whatever its maker says of it in the file. Where two public copies of the table differ,
the shorter one counts. Sequences of the table go too: nobody here knows what is inside them.
"""

import mmap
from collections.abc import Iterable

from pydicom._private_dict import private_dictionaries

from teleread.dicom.raw import Element

#: (private creator, group) -> the last two digits of the elements that may stay (element numbers inside the block).
SAFE: dict[tuple[str, int], str] = {
    ("Philips PET Private Group", 0x7053): "00 09",
    ("Philips MR Imaging DD 001", 0x2005): "0D 0E",
    ("Philips Imaging DD 001", 0x2001): "03 04",
    ("Philips US Imaging DD 023", 0x200D): "45",
    ("Philips US Imaging DD 033", 0x200D): "00 01 02 03 04 05 06 07 08 0D 0F 10 11 14 21",
    ("Philips US Imaging DD 034", 0x200D): (
        "01 02 03 04 05 08 09 0A 0B 0C 0D 0E 0F 10 11 12 13 14 17 18 1B 1C 1D 1E 1F 20 21 22 23 24 25 26 27 28"
    ),
    ("Philips US Imaging DD 035", 0x200D): "01 03 04 07 08 09 0A 0C 0D",
    ("Philips US Imaging DD 036", 0x200D): "15 16 17 18 19 20",
    ("Philips US Imaging DD 038", 0x200D): "01 02 03 04",
    ("Philips US Imaging DD 039", 0x200D): "01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 15",
    ("Philips US Imaging DD 040", 0x200D): "01 02 03 04 05 06 07 20",
    ("Philips US Imaging DD 042", 0x200D): (
        "15 16 20 30 31 40 50 51 52 53 54 55 56 57 58 59 5A 5B 5C 5D 5E 5F 60 70 71 72 73 74 75 76 77 78 8C"
    ),
    ("Philips US Imaging DD 045", 0x200D): "F1 F3 F4 F5 F6 F8 FA FB",
    ("Philips US Imaging DD 046", 0x200D): "17",
    ("Philips US Imaging DD 048", 0x200D): "01",
    ("Philips US Imaging DD 065", 0x200D): "07",
    ("Philips US Imaging DD 066", 0x200D): "00 01 03 04",
    ("SIEMENS MR HEADER", 0x0019): "0C 0D 0E 27",
    ("ELSCINT1", 0x00E1): "21",
    ("ELSCINT1", 0x01E1): "26 50",
    ("ELSCINT1", 0x01F1): "01 07 26 27",
    ("GEMS_ACQU_01", 0x0019): "23 24 27 9E",
    ("GEMS_SERS_01", 0x0025): "07",
    ("GEMS_PARM_01", 0x0043): "27 39 6F",
    ("GEMS_HELIOS_01", 0x0045): "01 02",
    ("GEMS_SENO_02", 0x0045): ("06 1B 20 27 29 2A 2B 49 58 59 60 61 64 71 72 90 A0 A1 A2 A4 A7 A8"),
    ("GEIIS PACS", 0x0903): "10 11 12",
    ("HOLOGIC, Inc.", 0x7E01): "01 02 10 11 12",
    ("HOLOGIC, Inc.", 0x7F01): "01 02 10 11 12",
    ("HOLOGIC, Inc.", 0x0019): (
        "06 07 08 16 25 26 27 28 29 30 31 32 33 34 35 37 40 41 42 43 44 45 46 50 51 52 53 60 61 62 70 71 80 85 87 89"
        " 8A 90 97 98"
    ),
    (
        "LORAD Selenia",
        0x0019,
    ): "06 07 08 16 26 27 28 29 30 31 32 33 34 35 37 40 41 50 51 52 53 60 70 71 80 90",
    ("NQHeader", 0x0099): "01 04 05 10 20 21",
    ("NQLeft", 0x0199): "01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10 11 12 13 14 15 16",
    ("NQRight", 0x0299): "01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10 11 12 13 14 15 16",
}

_SAFE = {key: frozenset(int(number, 16) for number in numbers.split()) for key, numbers in SAFE.items()}


def vr_of(creator: str, tag: int) -> str:
    """Return the VR that the maker's dictionary gives a private attribute, ``UN`` when it is not known."""
    entries = private_dictionaries.get(creator, {})
    entry = entries.get(f"{tag >> 16:04x}xx{tag & 0xFF:02x}") or entries.get(
        f"{tag >> 16:04X}xx{tag & 0xFF:02X}"
    )
    return entry[0][:2] if entry else "UN"


def creators_in(elements: Iterable[Element], data: bytes | mmap.mmap) -> dict[tuple[int, int], str]:
    """Return who has reserved which block of one dataset: (group, block) -> private creator (PS3.5 Section 7.8.1)."""
    return {
        (element.tag >> 16, element.tag & 0xFF): data[element.value_at : element.value_end]
        .decode("latin-1")
        .strip(" \0")
        for element in elements
        if element.private and 0x10 <= element.tag & 0xFFFF <= 0xFF
    }


def safe_tags(elements: list[Element], data: bytes | mmap.mmap) -> dict[int, str]:
    """Return the private elements of one dataset that may stay, the reservations of their blocks among them.

    Parameters
    ----------
    elements : list of Element
        Of one dataset or of one item; a block is reserved in each anew.
    data : bytes or mmap
        What their offsets point into.

    Returns
    -------
    dict
        Tag -> VR that counts (``LO`` for a reservation).
    """
    creators = creators_in(elements, data)
    kept: dict[int, str] = {}
    for element in elements:
        block = (element.tag & 0xFFFF) >> 8
        creator = creators.get((element.tag >> 16, block))
        if not element.private or creator is None:
            continue
        if element.tag & 0xFF not in _SAFE.get((creator, element.tag >> 16), frozenset()):
            continue
        vr = vr_of(creator, element.tag) if element.vr == "UN" else element.vr
        if element.items is not None or element.undefined or vr == "SQ":
            continue
        kept[element.tag] = vr
        kept[element.tag & 0xFFFF0000 | block] = "LO"
    return kept
