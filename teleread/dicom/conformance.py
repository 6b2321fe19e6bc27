"""What an object lacks that its IOD requires: told from its header, by the types of PS3.3."""

from dataclasses import dataclass
from functools import lru_cache

from teleread.dicom.deid._types_ps3_3 import MANDATORY, REQUIRED
from teleread.dicom.deid.profile import ANY_IOD, iod_of
from teleread.dicom.raw import RawFile


@dataclass(frozen=True, slots=True, order=True)
class Missing:
    """An attribute that is missing: `need` is 1 (a value is required) or 2 (it may be empty, but has to be there)."""

    tag: int
    need: int


@lru_cache(maxsize=256)
def _required(iod: int) -> tuple[Missing, ...]:
    needs: dict[int, int] = {}
    for module in MANDATORY[iod]:
        for need, tags in zip((1, 2), REQUIRED[module], strict=True):
            for tag in tags:
                needs[tag] = min(need, needs.get(tag, need))
    return tuple(Missing(tag, need) for tag, need in sorted(needs.items()))


def missing_in(raw: RawFile) -> tuple[Missing, ...]:
    """Return what is missing at the top level of the mandatory modules, in the order of the tags.

    Conditional attributes and modules are not judged: whether their condition holds cannot be seen from a table. Empty
    for a SOP Class that PS3.3 does not have.
    """
    iod = iod_of(raw.text(0x00080016))
    if iod == ANY_IOD:
        return ()
    found: list[Missing] = []
    for one in _required(iod):
        element = raw.find(one.tag)
        if element is None or (one.need == 1 and element.value_at == element.value_end and not element.items):
            found.append(one)
    return tuple(found)
