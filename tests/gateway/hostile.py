"""What nobody should send: texts that look like paths, sequences without end, bombs, sizes that are not true, mutants."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from teleread.dicom.raw import DEFLATED, EXPLICIT, EXPLICIT_LITTLE, encode_element, encode_meta

CT = b"1.2.840.10008.5.1.4.1.1.2"

#: 60 texts for a UID, a title or an ID (T-05).
PATHS: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *(f"{'../' * depth}etc/passwd" for depth in range(1, 9)),
            *("..\\" * depth + "windows" for depth in range(1, 5)),
            *(f"/{folder}/x" for folder in ("", "etc", "tmp", "root", "dev/shm", "proc/self", "var/spool")),
            *(f"1.2.3/{'../' * depth}x.dcm" for depth in range(1, 7)),
            *(f"1.2.3\0{rest}" for rest in ("", ".dcm", "/../x", "\n", "../x")),
            *(f"%2e%2e%2f{rest}" for rest in ("etc", "%2e%2e%2fx", "x%00")),
            *("1" * length for length in (63, 64)),
            *(f"file:///{name}" for name in ("etc/passwd", "tmp/x")),
            *(
                "~",
                "~root",
                ".",
                "..",
                "...",
                "-rf",
                "--",
                "*",
                "?",
                "|id",
                ";id",
                "`id`",
                "$(id)",
                "&",
                "\\\\host\\share",
            ),
            *("CON", "NUL.dcm", "a:b", "a\tb", "a\nb", "é.dcm", "\x7f", "\x1b[2J"),
        ]
    )
)


def data_set(*elements: bytes, uid: str = "1.2.3.4", study_uid: str = "1.2.3") -> bytes:
    """Return an explicit little endian data set with the UIDs that every instance has, then `elements`."""
    head = [
        (0x00080016, "UI", CT),
        (0x00080018, "UI", uid.encode("latin-1")),
        (0x00100020, "LO", b"0012345"),
        (0x0020000D, "UI", study_uid.encode("latin-1")),
        (0x0020000E, "UI", b"1.2.3.1"),
    ]
    return b"".join(encode_element(tag, vr, value, EXPLICIT) for tag, vr, value in head) + b"".join(elements)


def nested(depth: int) -> bytes:
    """Return a data set with sequences in sequences, of undefined length (T-06)."""
    opening = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    closing = struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return data_set(opening * depth + closing * depth)


def bomb(megabytes: int) -> bytes:
    """Return a file in the deflated syntax that inflates a thousand times (T-07)."""
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    parts = [
        deflater.compress(data_set()),
        deflater.compress(struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, megabytes << 20)),
    ]
    parts += [deflater.compress(bytes(1 << 20)) for _ in range(megabytes)]
    head = encode_meta([(0x00020002, "UI", CT), (0x00020010, "UI", DEFLATED.encode())])
    return head + b"".join(parts) + deflater.flush()


def lying(rows: int, columns: int, frames: bytes, pixels: int, *, vr: str = "US") -> bytes:
    """Return a data set whose sizes do not fit its pixels (T-08)."""
    size = "<L" if vr == "UL" else "<H"
    return data_set(
        encode_element(0x00280002, "US", struct.pack("<H", 1), EXPLICIT),
        encode_element(0x00280008, "IS", frames, EXPLICIT),
        encode_element(0x00280010, vr, struct.pack(size, rows), EXPLICIT),
        encode_element(0x00280011, vr, struct.pack(size, columns), EXPLICIT),
        encode_element(0x00280100, "US", struct.pack("<H", 16), EXPLICIT),
        encode_element(0x7FE00010, "OW", bytes(pixels), EXPLICIT),
    )


LIES: dict[str, Callable[[], bytes]] = {
    "the largest image of a few bytes": lambda: lying(65535, 65535, b"1", 64),
    "no rows": lambda: lying(0, 8, b"1", 128),
    "2^31 frames": lambda: lying(8, 8, b"2147483647", 128),
    "frames below nothing": lambda: lying(8, 8, b"-1", 128),
    "frames that are no number": lambda: lying(8, 8, b"many", 128),
    "rows of four bytes": lambda: lying(8, 8, b"1", 128, vr="UL"),
    "one byte too few": lambda: lying(8, 8, b"1", 126),
    "pixels without any size": lambda: data_set(encode_element(0x7FE00010, "OW", bytes(64), EXPLICIT)),
    "a value beyond the end": lambda: data_set(struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, 1 << 31)),
    "rows without a value": lambda: data_set(encode_element(0x00280010, "US", b"", EXPLICIT)),
}


def file_of(data: bytes) -> bytes:
    """Return a PS3.10 file of an explicit little endian data set."""
    return encode_meta([(0x00020002, "UI", CT), (0x00020010, "UI", EXPLICIT_LITTLE.encode())]) + data


def mutant(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one to three things changed: bits, bytes, pieces, lengths, the end."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed)) if changed else 0
        kind = chance.randrange(7)
        if not changed or kind == 0:
            changed[at:at] = chance.randbytes(chance.randint(1, 16))
        elif kind == 1:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            changed[at : at + 4] = chance.choice(
                (b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f", b"\xfe\xff\x00\xe0")
            )
        elif kind == 3:
            del changed[at : at + chance.randint(1, 64)]
        elif kind == 4:
            changed[at:at] = changed[at : at + chance.randint(1, 256)]
        elif kind == 5:
            del changed[at:]
        else:
            changed[at : at + 2] = chance.randbytes(2)
    return bytes(changed)


def taken_apart(path: Path) -> tuple[str, bytes]:
    """Return transfer syntax and data set of a file, as C-STORE carries them (PS3.10 Section 7.1)."""
    data = path.read_bytes()
    if data[128:132] != b"DICM" or data[132:136] != b"\x02\0\0\0":
        return EXPLICIT_LITTLE, data
    end = 144 + int(struct.unpack_from("<L", data, 140)[0])
    at = data.find(b"\x02\0\x10\0UI", 132, end)
    size = int(struct.unpack_from("<H", data, at + 6)[0])
    return data[at + 8 : at + 8 + size].decode("latin-1").strip(" \0") or EXPLICIT_LITTLE, data[end:]


def mutants(files: list[Path], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield transfer syntax and mutated data set of files in turn, the same for a seed."""
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    originals = [taken_apart(path) for path in files]
    for number in range(count):
        syntax, data = originals[number % len(originals)]
        yield syntax, mutant(data, chance)
