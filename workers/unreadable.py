"""What lies in RQ's part of Redis and is no text: taken out, so that it stops no worker.

RQ decodes names and fields as UTF-8 wherever it meets them and ends its loop at the first that is none; in a registry the
same bytes would end each next worker too. Nothing of ours is ever such bytes, and what stands in Redis is never the only
copy: a job that goes with them is handed over again by its row in the outbox.
"""

import json
import logging
import zlib
from collections.abc import Callable
from typing import Any

from redis import Redis

_log = logging.getLogger(__name__)

#: Fields of a job that are bytes by design; RQ takes them as they are.
_BYTES = frozenset({b"data", b"result"})


def remove_unreadable(redis: Redis) -> int:
    """Take out what RQ cannot read, and return how many values, members and jobs that were."""
    # The types of the client say "bytes or text", for either can be chosen; here it is bytes.
    connection: Any = redis
    removed = 0
    for key in list(connection.scan_iter(match="rq:*", count=1000)):
        kind = connection.type(key)
        if not _is_text(key):
            removed += int(connection.delete(key))
        elif kind in _REMOVERS:
            removed += _REMOVERS[kind](connection, key)
    if removed:
        _log.error("%d entries of the queue were no text and were removed", removed)
    return removed


def _is_text(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _of_list(connection: Any, key: bytes) -> int:
    wrong = {one for one in connection.lrange(key, 0, -1) if not _is_text(one)}
    return sum(int(connection.lrem(key, 0, one)) for one in wrong)


def _of_set(connection: Any, key: bytes) -> int:
    wrong = [one for one in connection.smembers(key) if not _is_text(one)]
    return int(connection.srem(key, *wrong)) if wrong else 0


def _of_sorted_set(connection: Any, key: bytes) -> int:
    wrong = [one for one in connection.zrange(key, 0, -1) if not _is_text(one)]
    return int(connection.zrem(key, *wrong)) if wrong else 0


def _of_job(connection: Any, key: bytes) -> int:
    if not key.startswith(b"rq:job:"):
        return 0
    fields = connection.hgetall(key)
    if all(_is_readable(name, value) for name, value in fields.items()):
        return 0
    return int(connection.delete(key))


def _is_readable(name: bytes, value: bytes) -> bool:
    if name in _BYTES:
        return True
    try:
        if name == b"exc_info":
            value = zlib.decompress(value)
        if name == b"meta":
            json.loads(value)
        value.decode("utf-8")
    except (zlib.error, ValueError):
        return name == b"exc_info" and _is_text(value)
    return True


_REMOVERS: dict[bytes, Callable[[Any, bytes], int]] = {
    b"list": _of_list,
    b"set": _of_set,
    b"zset": _of_sorted_set,
    b"hash": _of_job,
}
