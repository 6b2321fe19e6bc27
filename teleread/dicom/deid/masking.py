"""Hides regions of an image without a change to any pixel outside them.

Uncompressed pixels are edited where they lie. Compressed ones are decoded, masked and encoded again without loss, in
the same transfer syntax where it has a lossless encoder here (uncompressed where none takes them); what comes out is
decoded once more and compared, frame by frame, before anybody may send it.
"""

import hashlib
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from teleread.dicom.deid.regions import Region, clipped, statement
from teleread.dicom.raw import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    RawFile,
    encode_element,
)
from teleread.errors import InvalidInput

_PIXEL_DATA = 0x7FE00010
_RLE = "1.2.840.10008.1.2.5"
_JPEG_LS = "1.2.840.10008.1.2.4.80"
_JPEG_2000 = "1.2.840.10008.1.2.4.90"
_UNCOMPRESSED = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED})

#: Transfer syntax as it came -> the lossless one that the masked object is in (PS3.5 Annex A.4).
TARGETS = {
    _RLE: _RLE,
    "1.2.840.10008.1.2.4.50": _JPEG_LS,  # JPEG Baseline
    "1.2.840.10008.1.2.4.51": _JPEG_LS,  # JPEG Extended
    "1.2.840.10008.1.2.4.57": _JPEG_LS,  # JPEG Lossless
    "1.2.840.10008.1.2.4.70": _JPEG_LS,  # JPEG Lossless SV1
    _JPEG_LS: _JPEG_LS,
    "1.2.840.10008.1.2.4.81": _JPEG_LS,  # JPEG-LS near-lossless
    _JPEG_2000: _JPEG_2000,
    "1.2.840.10008.1.2.4.91": _JPEG_2000,  # JPEG 2000
    "1.2.840.10008.1.2.4.201": _JPEG_2000,  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202": _JPEG_2000,  # HTJ2K lossless RPCL
    "1.2.840.10008.1.2.4.203": _JPEG_2000,  # HTJ2K
}

#: What decodes YCbCr into RGB on the way: these say YBR in the header for the sake of the bit stream only.
_DECODED_TO_RGB = frozenset({"YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422"})
_LOSSY_JPEG = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
#: They say of themselves that something was lost; (0028,2110) has to go on saying it in the new one.
_ALWAYS_LOSSY = _LOSSY_JPEG | {"1.2.840.10008.1.2.4.81"}
_HALVED = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})

#: Black in the colour spaces that have a fixed one.
_BLACK = {
    "RGB": (0, 0, 0),
    "YBR_FULL": (0, 128, 128),
    "YBR_FULL_422": (0, 128, 128),
    "YBR_PARTIAL_422": (16, 128, 128),
}

CLEAN_PIXEL_DATA = ("113101", "Clean Pixel Data Option")
"""Code and meaning of CID 7050 for (0012,0064) of an object that was masked."""


class CannotMask(InvalidInput):
    """The pixels cannot be masked without a change outside the regions: a person has to look at the object."""

    def __init__(self, why: str) -> None:
        super().__init__("pixels", why, code="not_maskable")


@dataclass(frozen=True, slots=True)
class MaskedPixels:
    """The pixels of an object after masking.

    Attributes
    ----------
    transfer_syntax : str
        UID of the one they are in now.
    element : bytes
        The whole element Pixel Data, header and all.
    changed : dict
        Tag -> VR and value of the attributes that have to say something else now.
    """

    transfer_syntax: str
    element: bytes
    changed: dict[int, tuple[str, bytes]] = field(default_factory=dict)


def mask_pixels(raw: RawFile, path: Path, regions: tuple[Region, ...]) -> MaskedPixels:
    """Return the pixels of an object with the regions of every frame hidden.

    Parameters
    ----------
    raw, path
        The object, and the file that it was read from.
    regions : tuple of Region
        At least one of them lies in the image.

    Raises
    ------
    CannotMask
        No decoder or encoder for it, pixels that are not samples, or no region in the image.
    """
    inside = clipped(regions, raw.number(0x00280011), raw.number(0x00280010))
    if not inside:
        raise CannotMask("no box lies in the image")
    if raw.find(_PIXEL_DATA) is None:
        raise CannotMask("its pixels are not integers")
    if raw.transfer_syntax not in _UNCOMPRESSED and raw.transfer_syntax not in TARGETS:
        raise CannotMask("nothing here decodes its transfer syntax")
    with warnings.catch_warnings():
        # What a file does wrong is the facility's; a warning helps nobody here.
        warnings.simplefilter("ignore")
        try:
            masked = (
                _uncompressed(raw, inside)
                if raw.transfer_syntax in _UNCOMPRESSED
                else _compressed(raw, path, inside)
            )
        except CannotMask:
            raise
        except Exception as problem:
            raise CannotMask(f"cannot be decoded or encoded ({type(problem).__name__})") from problem
    said = statement(inside)
    if raw.transfer_syntax in _ALWAYS_LOSSY:
        masked.changed[0x00282110] = ("CS", b"01")
    if masked.transfer_syntax != raw.transfer_syntax and (
        raw.transfer_syntax in _ALWAYS_LOSSY or raw.text(0x00282110) == "01"
    ):
        said += ". Decoded from a lossy transfer syntax and kept without further loss."
    return MaskedPixels(
        masked.transfer_syntax,
        masked.element,
        {
            **masked.changed,
            0x00082111: ("ST", said[:1024].encode("ascii")),
            0x00280301: ("CS", b"NO"),
        },
    )


def _black(raw: RawFile, frame: Any) -> Any:
    """Return the sample or samples that a viewer shows darkest, within the values that the frame has anyway."""
    photometric = raw.text(0x00280004)
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        # A value of its own would stretch the window of viewers that take the smallest and the largest.
        return frame.max() if photometric == "MONOCHROME1" else frame.min()
    if photometric == "PALETTE COLOR":
        return _darkest_entry(raw)
    if frame.ndim == 3:
        return _BLACK.get(photometric, (0, 0, 0))
    return frame.min()


def _darkest_entry(raw: RawFile) -> int:
    """Return the stored value whose colour is the darkest of the palette (PS3.3 C.7.6.3.1.5)."""
    import numpy as np

    order = raw.syntax.order
    tables = []
    first = 0
    for number in range(3):
        descriptor = raw.value(0x00281101 + number)
        count, first, bits = struct.unpack(order + "HHH", descriptor[:6])
        data = raw.value(0x00281201 + number)
        entries = count or 1 << 16
        if not data:
            # Segmented ones begin at the first stored value that they map.
            return int(first)
        kind = order + ("u1" if bits == 8 and len(data) < 2 * entries else "u2")
        tables.append(np.frombuffer(data, kind, min(entries, len(data) // np.dtype(kind).itemsize)))
    length = min(len(table) for table in tables)
    sums = sum(table[:length].astype("int64") for table in tables)
    return int(first) + int(np.argmin(sums))


def _hide(frame: Any, regions: tuple[Region, ...], value: Any) -> None:
    for region in regions:
        frame[region.y : region.y + region.height, region.x : region.x + region.width] = value


def _uncompressed(raw: RawFile, regions: tuple[Region, ...]) -> MaskedPixels:
    import numpy as np

    element = raw.find(_PIXEL_DATA)
    assert element is not None  # noqa: S101
    bits = raw.number(0x00280100)
    if bits not in (8, 16, 32, 64):
        raise CannotMask(f"samples of {bits} bits are not edited")
    rows, columns = raw.number(0x00280010), raw.number(0x00280011)
    samples = raw.number(0x00280002, 1) or 1
    frames = max(raw.number(0x00280008, 1), 1)
    kind = ("i" if raw.number(0x00280103) else "u") + str(bits // 8)
    value = bytearray(raw.data[element.value_at : element.value_end])
    # Bytes in words of a big-endian file stand crosswise (PS3.5 Annex A.3).
    crosswise = raw.syntax.big and bits == 8 and element.vr == "OW"
    if crosswise:
        value[0::2], value[1::2] = value[1::2], value[0::2]
    halved = samples == 3 and raw.text(0x00280004) in _HALVED
    size = rows * columns * (2 if halved else samples)
    pixels = np.frombuffer(value, raw.syntax.order + kind, frames * size)
    for one in pixels.reshape(frames, size):
        if halved:
            _hide_pairs(one.reshape(rows, columns // 2, 4), regions, _black(raw, one.reshape(rows, 1, -1)))
        elif samples == 1:
            grey = one.reshape(rows, columns)
            _hide(grey, regions, _black(raw, grey))
        elif raw.number(0x00280006):
            planes = np.moveaxis(one.reshape(samples, rows, columns), 0, -1)
            _hide(planes, regions, _black(raw, planes))
        else:
            frame = one.reshape(rows, columns, samples)
            _hide(frame, regions, _black(raw, frame))
    if crosswise:
        value[0::2], value[1::2] = value[1::2], value[0::2]
    vr = element.written_vr or element.vr
    return MaskedPixels(raw.transfer_syntax, encode_element(_PIXEL_DATA, vr, bytes(value), raw.syntax))


def _hide_pairs(pairs: Any, regions: tuple[Region, ...], black: tuple[int, int, int]) -> None:
    # Two pixels share their colour (PS3.3 C.7.6.3.1.2), so a region grows to whole pairs.
    luma, blue, red = black
    for region in regions:
        left, right = region.x // 2, (region.x + region.width + 1) // 2
        pairs[region.y : region.y + region.height, left:right] = (luma, luma, blue, red)


def _options(raw: RawFile, samples: Any, photometric: str) -> dict[str, Any]:
    several = samples.ndim == 3
    bits = samples.dtype.itemsize * 8
    return {
        "rows": samples.shape[0],
        "columns": samples.shape[1],
        "samples_per_pixel": samples.shape[2] if several else 1,
        "photometric_interpretation": photometric,
        "bits_allocated": bits,
        "bits_stored": min(raw.number(0x00280101) or bits, bits),
        "pixel_representation": raw.number(0x00280103),
        "number_of_frames": 1,
        "planar_configuration": 0,
        "pixel_keyword": "PixelData",
    }


def _photometric_after(raw: RawFile, target: str) -> str:
    photometric = raw.text(0x00280004)
    if raw.transfer_syntax in _LOSSY_JPEG and photometric in _DECODED_TO_RGB:
        return "RGB"
    if target == _JPEG_2000 and photometric in ("RGB", "YBR_RCT", "YBR_ICT"):
        return "YBR_RCT"
    if photometric in ("YBR_RCT", "YBR_ICT"):
        return "RGB"
    # Decoders give each pixel its own colour back.
    return "YBR_FULL" if photometric == "YBR_FULL_422" else photometric


def _compressed(raw: RawFile, path: Path, regions: tuple[Region, ...]) -> MaskedPixels:
    import pydicom
    from pydicom.pixels.decoders.base import get_decoder

    target = TARGETS[raw.transfer_syntax]
    photometric = _photometric_after(raw, target)
    as_rgb = photometric == "RGB" and raw.transfer_syntax in _LOSSY_JPEG
    dataset = pydicom.dcmread(path, force=True)
    decoder = get_decoder(raw.transfer_syntax)
    colours = "RGB" if photometric == "YBR_RCT" else photometric

    def frames() -> Iterator[Any]:
        for number in range(max(raw.number(0x00280008, 1), 1)):
            samples, _ = decoder.as_array(dataset, index=number, raw=not as_rgb)
            samples = samples.copy()
            black = _BLACK.get(colours, (0, 0, 0)) if samples.ndim == 3 else _black(raw, samples)
            _hide(samples, regions, black)
            yield samples

    try:
        element, options = _encoded(raw, frames(), target, photometric)
    except (RuntimeError, ValueError, NotImplementedError):
        # Not every size and depth fits every encoder; uncompressed, everything does.
        target, photometric = EXPLICIT_LITTLE, colours
        element, options = _plain(raw, frames(), photometric)
    changed: dict[int, tuple[str, bytes]] = {}
    if photometric != raw.text(0x00280004):
        changed[0x00280004] = ("CS", photometric.encode("ascii"))
    if options["samples_per_pixel"] > 1 and target != _RLE:
        changed[0x00280006] = ("US", struct.pack("<H", 0))
    if options["bits_allocated"] != raw.number(0x00280100):
        changed[0x00280100] = ("US", struct.pack("<H", options["bits_allocated"]))
    return MaskedPixels(target, element, changed)


def _encoded(
    raw: RawFile, frames: Iterator[Any], target: str, photometric: str
) -> tuple[bytes, dict[str, Any]]:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.encoders.base import get_encoder

    encoder = get_encoder(target)
    written: list[bytes] = []
    digests: list[str] = []
    options: dict[str, Any] = {}
    for samples in frames:
        options = _options(raw, samples, photometric)
        digests.append(_digest(samples))
        written.append(bytes(encoder.encode(samples, **options)))
    content = encapsulate(written, has_bot=sum(len(frame) + 8 for frame in written) < 1 << 32)
    after = get_decoder(target).iter_array(content, raw=True, **options | {"number_of_frames": len(written)})
    if [_digest(samples) for samples, _ in after] != digests:
        raise CannotMask("the encoder does not give the pixels back")
    head = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    return head + content + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0), options


def _plain(raw: RawFile, frames: Iterator[Any], photometric: str) -> tuple[bytes, dict[str, Any]]:
    options: dict[str, Any] = {}
    pieces: list[bytes] = []
    for samples in frames:
        options = _options(raw, samples, photometric)
        pieces.append(samples.astype(samples.dtype.newbyteorder("<")).tobytes())
    vr = "OB" if options["bits_allocated"] == 8 else "OW"
    return encode_element(_PIXEL_DATA, vr, b"".join(pieces), raw.syntax), options


def _digest(samples: Any) -> str:
    return hashlib.sha256(samples.astype(samples.dtype.newbyteorder("<")).tobytes()).hexdigest()
