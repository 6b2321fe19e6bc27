"""Frames as stored and as pictures."""

import io
import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames

from teleread.dicom.frames import FrameRenderer, frame_bytes
from teleread.errors import InvalidInput, Unavailable
from tests.builders.datasets import ct_slice, write

DATA = Path(__file__).parents[1] / "data" / "dicom"


@pytest.fixture(scope="module")
def renderer() -> Iterator[FrameRenderer]:
    renderer = FrameRenderer()
    yield renderer
    renderer.close()


def test_an_uncompressed_frame_is_its_samples(tmp_path: Path) -> None:
    dataset = ct_slice(NumberOfFrames=2)
    one = dataset.PixelData
    dataset.PixelData = one + one[::-1]
    path = write(dataset, tmp_path / "a.dcm")
    assert frame_bytes(path, 1) == (one, "1.2.840.10008.1.2.1")
    assert frame_bytes(path, 2) == (one[::-1], "1.2.840.10008.1.2.1")


def test_big_endian_samples_are_given_little_endian() -> None:
    little, syntax = frame_bytes(DATA / "MR_small_bigendian.dcm", 1)
    assert syntax == "1.2.840.10008.1.2.1"
    assert little == pydicom.dcmread(DATA / "MR_small_implicit.dcm").PixelData


@pytest.mark.parametrize(
    "name", ["693_J2KI", "MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"]
)
def test_a_compressed_frame_is_its_bit_stream(name: str) -> None:
    path = DATA / f"{name}.dcm"
    dataset = pydicom.dcmread(path)
    (expected,) = generate_frames(dataset.PixelData, number_of_frames=1)
    assert frame_bytes(path, 1) == (expected, dataset.file_meta.TransferSyntaxUID)


@pytest.mark.parametrize("table", [True, False])
def test_frames_of_several_fragments_are_found_by_their_table(tmp_path: Path, table: bool) -> None:
    frames = [bytes([number]) * 10 for number in (1, 2, 3)]
    dataset = ct_slice(NumberOfFrames=3)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"
    dataset.PixelData = encapsulate(frames, fragments_per_frame=2, has_bot=table)
    dataset["PixelData"].is_undefined_length = True
    path = write(dataset, tmp_path / "a.dcm")
    if table:
        assert [frame_bytes(path, number)[0].rstrip(b"\0") for number in (1, 2, 3)] == frames
    else:
        with pytest.raises(InvalidInput):
            frame_bytes(path, 2)


@pytest.mark.parametrize("frame", [0, 2, -1])
def test_a_frame_that_is_not_there_is_refused(tmp_path: Path, frame: int, renderer: FrameRenderer) -> None:
    path = write(ct_slice(), tmp_path / "a.dcm")
    with pytest.raises(InvalidInput):
        frame_bytes(path, frame)
    with pytest.raises(InvalidInput):
        renderer.render(path, frame)


def grey(png: bytes) -> list[int]:
    from PIL import Image

    image = Image.open(io.BytesIO(png))
    assert image.mode == "L"
    return list(image.tobytes())


def test_a_window_maps_hounsfield_units_to_grey(tmp_path: Path, renderer: FrameRenderer) -> None:
    values = [0, 1024 + 40 - 201, 1024 + 40, 1024 + 40 + 200]
    dataset = ct_slice(Rows=2, Columns=2, PixelData=struct.pack("<4H", *values))
    path = write(dataset, tmp_path / "a.dcm")
    assert grey(renderer.render(path)) == [0, 0, 128, 255]
    assert grey(renderer.render(path, center=-1024, width=2))[0] in (127, 128, 255)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    write(dataset, path)
    assert grey(renderer.render(path)) == [255, 255, 127, 0]


def test_a_picture_is_no_larger_than_asked_for(renderer: FrameRenderer) -> None:
    from PIL import Image

    image = Image.open(io.BytesIO(renderer.render(DATA / "CT_small.dcm", size=50)))
    assert max(image.size) == 50


@pytest.mark.parametrize(
    "name",
    [
        "CT_small",
        "MR_small_RLE",
        "MR_small_jp2klossless",
        "MR_small_jpeg_ls_lossless",
        "SC_rgb_jpeg_dcmtk",
        "image_dfl",
    ],
)
def test_common_compressions_become_pictures(name: str, renderer: FrameRenderer) -> None:
    assert renderer.render(DATA / f"{name}.dcm", size=64).startswith(b"\x89PNG")


def test_what_cannot_be_decoded_is_refused_not_raised(tmp_path: Path, renderer: FrameRenderer) -> None:
    dataset = pydicom.dcmread(DATA / "MR_small_jp2klossless.dcm")
    dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51" + b"garbage" * 10])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(InvalidInput) as refused:
        renderer.render(tmp_path / "a.dcm")
    assert refused.value.code == "not_decodable"


def test_a_lie_about_the_size_is_refused(tmp_path: Path, renderer: FrameRenderer) -> None:
    path = write(ct_slice(Rows=65535, Columns=65535), tmp_path / "a.dcm")
    with pytest.raises(InvalidInput):
        renderer.render(path)


def test_a_dead_child_is_replaced(tmp_path: Path) -> None:
    renderer = FrameRenderer()
    try:
        path = write(ct_slice(), tmp_path / "a.dcm")
        before = renderer.render(path)
        for child in renderer.children():
            os.kill(child, signal.SIGKILL)
        assert renderer.render(path) == before
    finally:
        renderer.close()


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    renderer = FrameRenderer(seconds=0.001)
    try:
        with pytest.raises(Unavailable):
            renderer.render(write(ct_slice(), tmp_path / "a.dcm"))
    finally:
        renderer.close()
