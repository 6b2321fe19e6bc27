"""Command sets of DIMSE-C (PS3.7 Sections 6.3, 9.3 and Annex E.1), as far as a storage SCP needs them."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.upper_layer import HEADER, PDUType

C_STORE_RQ = 0x0001
C_ECHO_RQ = 0x0030
C_CANCEL_RQ = 0x0FFF

_RESPONSE = 0x8000
_NO_DATA_SET = 0x0101

# PS3.7 Annex E.1: element numbers in group 0000.
_AFFECTED_SOP_CLASS_UID = 0x0002
_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_MESSAGE_ID_RESPONDED_TO = 0x0120
_COMMAND_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_ERROR_COMMENT = 0x0902
_AFFECTED_SOP_INSTANCE_UID = 0x1000

_ELEMENT = struct.Struct("<HHL")
_US = struct.Struct("<H")


class NoCommand(ValueError):  # noqa: N818 - what it is
    """The bytes are no command set."""


@dataclass(frozen=True)
class Command:
    """A request: its command field, its number, what it is about, and whether a data set follows."""

    field: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    has_data_set: bool

    @classmethod
    def decode(cls, data: bytes | bytearray) -> "Command":
        """Return the request of a command set in implicit VR little endian, or raise NoCommand."""
        elements = _elements(data)
        return cls(
            field=_number(elements, _COMMAND_FIELD),
            message_id=_number(elements, _MESSAGE_ID, 0),
            sop_class_uid=_uid(elements, _AFFECTED_SOP_CLASS_UID),
            sop_instance_uid=_uid(elements, _AFFECTED_SOP_INSTANCE_UID),
            has_data_set=_number(elements, _COMMAND_DATA_SET_TYPE, _NO_DATA_SET) != _NO_DATA_SET,
        )


def _elements(data: bytes | bytearray) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if at + _ELEMENT.size > len(data):
            raise NoCommand("ends inside an element's header")
        group, number, length = _ELEMENT.unpack_from(data, at)
        at += _ELEMENT.size
        if group != 0 or at + length > len(data):
            raise NoCommand("holds something else than elements of the group 0000")
        found[number] = bytes(data[at : at + length])
        at += length
    return found


def _number(elements: Mapping[int, bytes], number: int, default: int | None = None) -> int:
    value = elements.get(number, b"")
    if len(value) < _US.size:
        if default is None:
            raise NoCommand("has no command field")
        return default
    return int(_US.unpack_from(value)[0])


def _uid(elements: Mapping[int, bytes], number: int) -> str:
    return elements.get(number, b"").decode("latin-1").strip(" \0")


def answer(context_id: int, command: Command, status: int, comment: str = "") -> bytes:
    """Return the response to a request as one P-DATA-TF PDU.

    Parameters
    ----------
    context_id : int
        Of the presentation context in which the request came.
    command : Command
    status : int
        PS3.7 Annex C and the service's own.
    comment : str
        Error Comment (0000,0902), VR LO, for the people at the sender; ASCII.
    """
    values = {
        _AFFECTED_SOP_CLASS_UID: _padded(command.sop_class_uid, b"\0"),
        _COMMAND_FIELD: _US.pack(command.field | _RESPONSE),
        _MESSAGE_ID_RESPONDED_TO: _US.pack(command.message_id),
        _COMMAND_DATA_SET_TYPE: _US.pack(_NO_DATA_SET),
        _STATUS: _US.pack(status),
        _ERROR_COMMENT: _padded(comment, b" "),
        _AFFECTED_SOP_INSTANCE_UID: _padded(command.sop_instance_uid, b"\0"),
    }
    body = b"".join(_ELEMENT.pack(0, number, len(value)) + value for number, value in values.items() if value)
    command_set = _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body
    item = struct.pack(">LBB", len(command_set) + 2, context_id, 3) + command_set
    return HEADER.pack(PDUType.P_DATA_TF, len(item)) + item


def _padded(text: str, pad: bytes) -> bytes:
    data = text.encode("latin-1")
    return data + pad * (len(data) % 2)
