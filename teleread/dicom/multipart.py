"""multipart/related, streamed both ways (PS3.18 Section 8.6.1.2, RFC 2046 Section 5.1)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from teleread.errors import InvalidInput

_CHUNK = 1 << 16


class Readable(Protocol):
    """What bytes come from: a file, a WSGI input."""

    def read(self, size: int = ..., /) -> bytes: ...


class _Scanner:
    """Hands out what stands before the next delimiter, without ever holding a whole part."""

    def __init__(self, stream: Readable, delimiter: bytes) -> None:
        self.stream = stream
        self.delimiter = delimiter
        # The first delimiter may stand without the line break that belongs to all others.
        self.buffer = b"\r\n"
        self.ended = False

    def fill(self) -> bool:
        chunk = b"" if self.ended else self.stream.read(_CHUNK)
        self.ended = not chunk
        self.buffer += chunk
        return bool(chunk)

    def take(self, size: int) -> bytes:
        """Return up to `size` bytes of this part, empty at its end."""
        while True:
            found = self.buffer.find(self.delimiter)
            # What could be the beginning of a delimiter has to wait for more.
            safe = found if found >= 0 else len(self.buffer) - len(self.delimiter) + 1
            if safe > 0:
                answer = self.buffer[: min(size, safe)]
                self.buffer = self.buffer[len(answer) :]
                return answer
            if found == 0:
                return b""
            if not self.fill():
                raise InvalidInput("body", "ends inside a part", code="truncated_body")

    def line(self, limit: int) -> bytes:
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > limit or not self.fill():
                raise InvalidInput("body", "has a part header that does not end", code="bad_part_header")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        if len(line) > limit:
            raise InvalidInput("body", "has a part header that is too long", code="bad_part_header")
        return line

    def after_delimiter(self) -> bool:
        """Step over the delimiter; return whether another part follows."""
        self.buffer = self.buffer[len(self.delimiter) :]
        while len(self.buffer) < 2 and self.fill():
            pass
        if self.buffer.startswith(b"--"):
            return False
        if self.line(_CHUNK).strip(b" \t"):
            raise InvalidInput("body", "has something behind a boundary", code="bad_boundary")
        return True


@dataclass(slots=True)
class Part:
    """One part; its body can be read once, until the next part is asked for.

    Attributes
    ----------
    headers : dict
        Header values by name in small letters.
    """

    headers: dict[str, str]
    _scanner: _Scanner

    def read(self, size: int = _CHUNK) -> bytes:
        """Return up to `size` bytes of the body, empty at its end."""
        return self._scanner.take(size)


def _headers(scanner: _Scanner, limit: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    left = limit
    while True:
        line = scanner.line(left)
        if not line:
            return headers
        left -= len(line)
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or left <= 0:
            raise InvalidInput("body", "has a malformed part header", code="bad_part_header")
        headers[name.strip().lower()] = value.strip()


def iter_parts(stream: Readable, boundary: str, *, max_header: int = 8192) -> Iterator[Part]:
    """Yield the parts of a body as they arrive.

    A part that the caller did not read to its end is skipped when the next one is asked for.

    Raises
    ------
    InvalidInput
        The body ends before its closing boundary (``truncated_body``), or is no multipart body.
    """
    if not 1 <= len(boundary) <= 200 or not boundary.isascii():
        raise InvalidInput("boundary", "has to have 1 to 200 ASCII characters", code="bad_boundary")
    scanner = _Scanner(stream, b"\r\n--" + boundary.encode("ascii"))
    while scanner.take(_CHUNK):
        pass  # the preamble says nothing
    while scanner.after_delimiter():
        # An empty body may follow its header's empty line at once: give it back the line break it shares.
        headers = _headers(scanner, max_header)
        scanner.buffer = _body_start(scanner)
        yield Part(headers, scanner)
        while scanner.take(_CHUNK):
            pass


def _body_start(scanner: _Scanner) -> bytes:
    without_break = scanner.delimiter[2:]
    while len(scanner.buffer) < len(without_break) and scanner.fill():
        pass
    if scanner.buffer.startswith(without_break):
        return b"\r\n" + scanner.buffer
    return scanner.buffer


def multipart_stream(
    parts: Iterable[tuple[Mapping[str, str], bytes | BinaryIO | Iterable[bytes]]], boundary: str
) -> Iterator[bytes]:
    """Yield a multipart body piece by piece.

    Parameters
    ----------
    parts : iterable of (headers, body)
        A body is bytes, an open binary file, or an iterable of bytes.
    boundary : str
        Must not stand in any body; the caller makes it at random.
    """
    for headers, body in parts:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        yield f"--{boundary}\r\n{lines}\r\n".encode("latin-1")
        if isinstance(body, bytes):
            yield body
        elif hasattr(body, "read"):
            while chunk := body.read(_CHUNK):
                yield chunk
        else:
            yield from body
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode("ascii")
