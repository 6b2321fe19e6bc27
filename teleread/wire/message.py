"""How a message between gateway and centre becomes JSON and comes back.

A message is a frozen dataclass. Reading is tolerant where versions may differ (unknown fields are
accepted, fields with a default may be missing) and strict everywhere else: a value of the wrong type
or shape raises InvalidInput with the path of the field, never with the value, which may be identity
that went astray.
"""

import dataclasses
import re
import types
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Self, cast, get_args, get_origin, get_type_hints

from teleread.errors import InvalidInput

PROTOCOL = 1
"""Version of the messages written by this release."""

TEXT_LIMIT = 4096
"""Longest text of a field without a rule of its own, in characters."""

_LONGEST = 1 << 20


class Message:
    """What every message can do; the fields are the subclass's."""

    def to_json(self) -> dict[str, Any]:
        """Return the message as a dict that `json.dumps` takes."""
        fields = dataclasses.fields(cast("Any", self))
        return {field.name: _plain(getattr(self, field.name)) for field in fields}

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Return the message that a parsed JSON document holds, or raise InvalidInput."""
        return cast("Self", _read_message(cls, document, cls.__name__))


def is_sha256(text: str) -> bool:
    """Tell whether the text is a SHA-256 in lower-case hexadecimal."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def is_uid(text: str) -> bool:
    """Tell whether the text is a UID.

    References
    ----------
    DICOM Standard, Part 5, Section 9.1: digits and dots, no leading zeros in a component, at most 64
    characters.
    """
    return len(text) <= 64 and re.fullmatch(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+", text) is not None


def is_uid_or_empty(text: str) -> bool:
    """Tell whether the text is a UID or absent."""
    return not text or is_uid(text)


def is_date_or_empty(text: str) -> bool:
    """Tell whether the text is a date of VR DA (PS3.5 Table 6.2-1), YYYYMMDD, or absent."""
    return re.fullmatch(r"([0-9]{8})?", text) is not None


def is_time_or_empty(text: str) -> bool:
    """Tell whether the text is a time of VR TM (PS3.5 Table 6.2-1), or absent."""
    return re.fullmatch(r"([0-9]{2,6}(\.[0-9]{1,6})?)?", text) is not None


def is_age_or_empty(text: str) -> bool:
    """Tell whether the text is an age of VR AS (PS3.5 Table 6.2-1) such as 067Y, or absent."""
    return re.fullmatch(r"([0-9]{3}[DWMY])?", text) is not None


def is_one_of(*terms: str) -> Callable[[str], bool]:
    """Return a check for one of a closed list of terms."""
    return frozenset(terms).__contains__


def is_text(limit: int) -> Callable[[str], bool]:
    """Return a check for a text that is not empty and at most `limit` characters."""
    return lambda text: 0 < len(text) <= limit


def is_at_most(limit: int) -> Callable[[str], bool]:
    """Return a check for a text of at most `limit` characters, which may be empty."""
    return lambda text: len(text) <= limit


SHA256 = Annotated[str, is_sha256]
UIDText = Annotated[str, is_uid]
OptionalUID = Annotated[str, is_uid_or_empty]
DateText = Annotated[str, is_date_or_empty]
TimeText = Annotated[str, is_time_or_empty]
AgeText = Annotated[str, is_age_or_empty]


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@cache
def _shape(cls: type) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple((field, hints[field.name]) for field in dataclasses.fields(cls))


def _read_message(cls: type, document: object, path: str) -> Any:
    if not isinstance(document, dict):
        raise InvalidInput(path, "an object is expected")
    values: dict[str, Any] = {}
    for field, hint in _shape(cls):
        where = f"{path}.{field.name}"
        if field.name not in document:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise InvalidInput(where, "missing")
            continue
        values[field.name] = _read_value(hint, document[field.name], where)
    return cls(**values)


def _read_value(hint: Any, value: object, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        (hint,) = (argument for argument in arguments if argument is not types.NoneType)
        return None if value is None else _read_value(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise InvalidInput(where, "a list is expected")
        return tuple(_read_value(arguments[0], item, f"{where}[{n}]") for n, item in enumerate(value))
    if origin is Annotated:
        text = _read_scalar(arguments[0], value, where, limit=_LONGEST)
        if not all(check(text) for check in arguments[1:]):
            raise InvalidInput(where, "the value does not have the form that the field asks for")
        return text
    if dataclasses.is_dataclass(hint):
        return _read_message(cast("type", hint), value, where)
    return _read_scalar(hint, value, where, limit=TEXT_LIMIT)


def _read_scalar(hint: Any, value: object, where: str, *, limit: int) -> Any:
    if hint is datetime:
        return _read_time(value, where)
    if hint is int and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise InvalidInput(where, "a whole number is expected")
    if not isinstance(value, hint):
        raise InvalidInput(where, f"a value of type {hint.__name__} is expected")
    if isinstance(value, str) and ("\0" in value or len(value) > limit):
        raise InvalidInput(where, "the text is too long or has a NUL")
    return value


def _read_time(value: object, where: str) -> datetime:
    if not isinstance(value, str):
        raise InvalidInput(where, "a time in ISO 8601 is expected")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InvalidInput(where, "a time in ISO 8601 is expected") from None
    if moment.tzinfo is None:
        raise InvalidInput(where, "a time with its offset from UTC is expected")
    return moment.astimezone(UTC)
