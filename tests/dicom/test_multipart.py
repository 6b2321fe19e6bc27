"""multipart/related both ways, in pieces of every size."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teleread.dicom.multipart import iter_parts, multipart_stream
from teleread.errors import InvalidInput


class Dribble:
    """Gives a few bytes at a time, as a slow line does."""

    def __init__(self, data: bytes, size: int) -> None:
        self.stream = io.BytesIO(data)
        self.size = size

    def read(self, size: int = -1) -> bytes:
        return self.stream.read(min(size, self.size) if size >= 0 else self.size)


def all_parts(stream: object, boundary: str) -> list[tuple[dict[str, str], bytes]]:
    found = []
    for part in iter_parts(stream, boundary):  # type: ignore[arg-type]
        pieces = []
        while piece := part.read(13):
            pieces.append(piece)
        found.append((part.headers, b"".join(pieces)))
    return found


@settings(deadline=None, max_examples=150)
@given(
    bodies=st.lists(
        st.binary(max_size=200) | st.sampled_from([b"", b"\r\n", b"--", b"\r\n--b", b"\r\n--B", b"-"]),
        min_size=1,
    ),
    size=st.integers(1, 64),
)
def test_what_was_written_is_read_whatever_the_pieces(bodies: list[bytes], size: int) -> None:
    boundary = "Boundary-7f3a"
    body = b"".join(
        multipart_stream([({"Content-Type": "application/dicom"}, each) for each in bodies], boundary)
    )
    found = all_parts(Dribble(body, size), boundary)
    assert [content for _, content in found] == bodies
    assert {headers["content-type"] for headers, _ in found} == {"application/dicom"}


def test_a_preamble_is_skipped_and_an_epilogue_ignored() -> None:
    body = b"hello\r\n--B\r\nA: 1\r\n\r\nx\r\n--B--\r\nbye"
    assert all_parts(io.BytesIO(body), "B") == [({"a": "1"}, b"x")]


def test_a_part_that_nobody_reads_is_skipped() -> None:
    body = b"".join(multipart_stream([({}, b"first" * 100_000), ({}, io.BytesIO(b"second"))], "B"))
    parts = iter_parts(io.BytesIO(body), "B")
    next(parts)
    assert next(parts).read(100) == b"second"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "truncated_body"),
        (b"no boundary at all", "truncated_body"),
        (b"--B\r\n\r\nhalf", "truncated_body"),
        (b"--B\r\n\r\nhalf\r\n--", "truncated_body"),
        (b"--B\r\nno colon\r\n\r\nx\r\n--B--", "bad_part_header"),
        (b"--B\r\nA: " + b"x" * 9000 + b"\r\n\r\nx\r\n--B--", "bad_part_header"),
        (b"--B\r\nA: 1", "bad_part_header"),
        (b"--Bogus\r\n\r\nx\r\n--B--", "bad_boundary"),
    ],
)
def test_a_broken_body_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        all_parts(io.BytesIO(body), "B")
    assert refused.value.code == code
