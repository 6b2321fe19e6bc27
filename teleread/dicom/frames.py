"""Frames of an instance: as they are stored, and as a picture for people.

Decoding is done in a child process with limits of memory and time: a codec fed with hostile bytes may crash or eat the
machine, and neither may take the web server along.
"""

import io
import multiprocessing
import resource
import struct
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from teleread.dicom.raw import EXPLICIT_BIG, EXPLICIT_LITTLE, Element, RawFile, fragments, read_raw
from teleread.errors import InvalidInput, Unavailable

_PIXEL_DATA = 0x7FE00010
_EXTENDED_OFFSETS = 0x7FE00001
_EXTENDED_LENGTHS = 0x7FE00002

#: No clinical image is larger; more is a lie or an attack.
_MAX_PIXELS = 1 << 28
_MAX_PICTURE_EDGE = 4096


def _frame_count(raw: RawFile) -> int:
    return max(raw.number(0x00280008, 1), 1)


def _checked_frame(raw: RawFile, frame: int) -> None:
    if not 1 <= frame <= _frame_count(raw):
        raise InvalidInput("frame", f"the instance has frames 1 to {_frame_count(raw)}")


def _native_frame(raw: RawFile, element: Element, frame: int) -> bytes:
    bits = raw.number(0x00280010) * raw.number(0x00280011) * max(raw.number(0x00280002, 1), 1)
    bits *= raw.number(0x00280100)
    if raw.text(0x00280004) in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        bits = bits * 2 // 3
    if bits == 0 or bits % 8:
        raise InvalidInput("frame", "does not begin and end at a byte", code="frame_not_addressable")
    size = bits // 8
    start = element.value_at + (frame - 1) * size
    if start + size > element.value_end:
        raise InvalidInput("frame", "is cut off", code="truncated")
    pixels = raw.data[start : start + size]
    if raw.syntax.big and raw.number(0x00280100) == 16:
        swapped = bytearray(size)
        swapped[0::2], swapped[1::2] = pixels[1::2], pixels[0::2]
        return bytes(swapped)
    return pixels


def _offsets(raw: RawFile, pieces: list[tuple[int, int]]) -> list[int]:
    extended = raw.value(_EXTENDED_OFFSETS)
    if extended:
        return [value for (value,) in struct.iter_unpack("<Q", extended[: len(extended) // 8 * 8])]
    table = raw.data[pieces[0][0] : pieces[0][1]]
    return [value for (value,) in struct.iter_unpack("<L", table[: len(table) // 4 * 4])]


def _encapsulated_frame(raw: RawFile, element: Element, frame: int) -> bytes:
    pieces = list(fragments(raw, element))
    frames = _frame_count(raw)
    body = pieces[1:]
    if frames == 1:
        chosen = body
    elif len(body) == frames:
        chosen = [body[frame - 1]]
    else:
        offsets = _offsets(raw, pieces)
        if len(offsets) != frames or not body:
            raise InvalidInput("frame", "no offset table says where it begins", code="frame_not_addressable")
        # Offsets count from the first byte of the first fragment's item tag (PS3.5 A.4).
        base = body[0][0] - 8
        end = offsets[frame] if frame < frames else body[-1][1] - base
        chosen = [(a, b) for a, b in body if offsets[frame - 1] <= a - 8 - base < end]
    if not chosen:
        raise InvalidInput("frame", "is cut off", code="truncated")
    joined = b"".join(raw.data[a:b] for a, b in chosen)
    lengths = raw.value(_EXTENDED_LENGTHS)
    if len(lengths) == 8 * frames:
        (length,) = struct.unpack_from("<Q", lengths, 8 * (frame - 1))
        return joined[:length]
    return joined


def frame_bytes(path: Path, frame: int) -> tuple[bytes, str]:
    """Return one frame undecoded, and the transfer syntax it is in.

    Parameters
    ----------
    path : Path
        A DICOM file.
    frame : int
        Number of the frame, from 1.

    Returns
    -------
    tuple of bytes and str
        Uncompressed samples are little endian, whatever the file is; compressed ones are the frame's bit stream.

    Raises
    ------
    InvalidInput
        No such frame, no pixel data, or a broken file (PS3.5 Section 8.2 and Annex A.4 for encapsulation).
    """
    raw = read_raw(path)
    element = raw.find(_PIXEL_DATA)
    if element is None:
        raise InvalidInput("frame", "the instance has no pixel data", code="no_pixels")
    _checked_frame(raw, frame)
    if element.undefined:
        return _encapsulated_frame(raw, element, frame), raw.transfer_syntax
    syntax = EXPLICIT_LITTLE if raw.transfer_syntax == EXPLICIT_BIG else raw.transfer_syntax
    return _native_frame(raw, element, frame), syntax


def _own_window(dataset: Any) -> tuple[float | None, float | None]:
    # Of several windows the first is the one that the modality shows by default.
    centers, widths = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    if centers in (None, "") or widths in (None, ""):
        return None, None
    center = centers if isinstance(centers, (int, float)) else centers[0]
    width = widths if isinstance(widths, (int, float)) else widths[0]
    return (float(center), float(width)) if float(width) >= 1 else (None, None)


def _window(samples: Any, dataset: Any, center: float | None, width: float | None) -> Any:
    import numpy as np
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    values = apply_modality_lut(samples, dataset).astype("float64")
    if center is None or width is None:
        center, width = _own_window(dataset)
    if center is not None and width is not None:
        # PS3.3 C.11.2.1.2.1
        low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    else:
        if "VOILUTSequence" in dataset:
            values = apply_voi_lut(values.astype(samples.dtype), dataset).astype("float64")
        low, high = float(np.min(values)), float(np.max(values))
    span = high - low
    if span <= 0:
        return np.where(values > low, 255, 0).astype("uint8")
    return (np.clip((values - low) / span, 0, 1) * 255 + 0.5).astype("uint8")


def _colour(samples: Any, dataset: Any) -> Any:
    import numpy as np
    from pydicom.pixels.processing import apply_color_lut

    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        samples = apply_color_lut(samples, dataset)
    if samples.dtype.itemsize > 1:
        bits = 16 if dataset.PhotometricInterpretation == "PALETTE COLOR" else int(dataset.BitsStored)
        samples = np.right_shift(samples, max(bits - 8, 0))
    return samples.astype("uint8")


def picture(path: Path, frame: int, center: float | None, width: float | None, size: int | None) -> bytes:
    """Return a frame as PNG; runs in the child. See `FrameRenderer.render`."""
    import warnings

    import numpy as np
    import pydicom
    from PIL import Image
    from pydicom.pixels.utils import pixel_array

    with warnings.catch_warnings():
        # What a file does wrong is the facility's; a warning helps nobody here.
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        samples = pixel_array(dataset, index=frame - 1)
        colour = int(dataset.get("SamplesPerPixel", 1)) > 1
        if colour or dataset.PhotometricInterpretation == "PALETTE COLOR":
            grey = _colour(samples, dataset)
        else:
            grey = _window(samples, dataset, center, width)
            if dataset.PhotometricInterpretation == "MONOCHROME1":
                grey = 255 - grey
    image = Image.fromarray(np.ascontiguousarray(grey))
    if size is not None:
        image.thumbnail((min(size, _MAX_PICTURE_EDGE), min(size, _MAX_PICTURE_EDGE)))
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _picture_or_reason(
    path: Path, frame: int, center: float | None, width: float | None, size: int | None
) -> bytes | str:
    # Codecs raise whatever they like; in the child every one of them means the same, and only plain types travel back.
    try:
        return picture(path, frame, center, width, size)
    except MemoryError:
        return "needs more memory than a picture may"
    except (
        AttributeError,
        KeyError,
        IndexError,
        NotImplementedError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        return f"cannot be decoded ({type(error).__name__})"


def _limit_memory(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _processes(pool: ProcessPoolExecutor | None) -> list[Any]:
    return list((getattr(pool, "_processes", None) or {}).values())


class FrameRenderer:
    """Makes pictures of frames in a child process, and a new child when one dies.

    Parameters
    ----------
    workers : int
        Children at a time.
    memory_bytes : int
        Address space of a child.
    seconds : float
        Time for one picture.
    """

    def __init__(self, *, workers: int = 1, memory_bytes: int = 4 << 30, seconds: float = 30.0) -> None:
        self._workers = workers
        self._memory_bytes = memory_bytes
        self._seconds = seconds
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def render(
        self,
        path: Path,
        frame: int = 1,
        *,
        center: float | None = None,
        width: float | None = None,
        size: int | None = None,
    ) -> bytes:
        """Return a frame as PNG.

        Modality LUT, then the window asked for or the file's own VOI, MONOCHROME1 inverted, palette and YBR as RGB
        (PS3.3 C.11, C.7.6.3).

        Parameters
        ----------
        frame : int
            Number of the frame, from 1.
        center, width : float, optional
            A window in output units of the modality LUT (Hounsfield units for CT).
        size : int, optional
            Longest edge in pixels; larger frames are made smaller.

        Raises
        ------
        InvalidInput
            No such frame, or one that cannot be decoded.
        Unavailable
            It took too long.
        """
        raw = read_raw(path)
        if raw.find(_PIXEL_DATA) is None and raw.find(0x7FE00008) is None and raw.find(0x7FE00009) is None:
            raise InvalidInput("frame", "the instance has no pixel data", code="no_pixels")
        _checked_frame(raw, frame)
        if raw.number(0x00280010) * raw.number(0x00280011) > _MAX_PIXELS:
            raise InvalidInput("frame", "is larger than any image", code="too_large")
        answer = self._answer(path, frame, center, width, size)
        if isinstance(answer, str):
            raise InvalidInput("frame", answer, code="not_decodable")
        return answer

    def _answer(self, *question: Any) -> bytes | str:
        # A child may die of somebody else's frame, so the first death proves nothing; the second is this frame's.
        for _ in range(2):
            pool = self._current_pool()
            try:
                return pool.submit(_picture_or_reason, *question).result(self._seconds)
            except TimeoutError as error:
                self._discard(pool)
                raise Unavailable("the picture took too long; please try again") from error
            except (BrokenProcessPool, RuntimeError):
                # RuntimeError: the pool was shut down between being chosen and being asked.
                self._discard(pool)
        return "cannot be decoded (the decoder crashed)"

    def _current_pool(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                # spawn: a fork of a threaded server may hold a lock that nobody will ever release.
                self._pool = ProcessPoolExecutor(
                    self._workers,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_limit_memory,
                    initargs=(self._memory_bytes,),
                )
            return self._pool

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        # Documented only from 3.14 on (kill_workers); a child that hangs in a codec hears nothing else.
        for process in _processes(pool):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)

    def children(self) -> list[int]:
        """Return the process ids of the children that there are now."""
        with self._lock:
            return [process.pid for process in _processes(self._pool) if process.pid is not None]

    def close(self) -> None:
        """End the children."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
