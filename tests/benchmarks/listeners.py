"""Browsers that hold event streams open, in a process of their own: what they cost is not counted with what is measured."""

from __future__ import annotations

import asyncio
import multiprocessing
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from teleread.web.security import COOKIE

#: Opened at once: a browser that meets a full queue of connections would wait a second before it knocks again.
AT_ONCE = 50
OPEN_SECONDS = 60


@dataclass(frozen=True)
class Listeners:
    """Who listens, and where."""

    port: int
    certificate: str
    origin: str
    cookies: tuple[str, ...]
    count: int


async def _listen(who: Listeners, told: Connection) -> None:
    trust = ssl.create_default_context(cafile=who.certificate)
    gate = asyncio.Semaphore(AT_ONCE)
    opened = 0

    async def follow(cookie: str) -> None:
        nonlocal opened
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", who.port, ssl=trust)
            writer.write(
                f"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {who.origin}\r\n"
                f"Cookie: {COOKIE}={cookie}\r\n\r\n".encode()
            )
            status = await reader.readline()
            if b" 200 " not in status:
                raise RuntimeError(f"a stream was refused: {status!r}")
        opened += 1
        if opened == who.count:
            told.send("open")
        while await reader.read(4096):
            pass
        raise RuntimeError("a stream ended")

    everybody = asyncio.gather(*(follow(who.cookies[n % len(who.cookies)]) for n in range(who.count)))
    enough = asyncio.get_running_loop().run_in_executor(None, told.recv)
    await asyncio.wait({everybody, enough}, return_when=asyncio.FIRST_COMPLETED)
    if not enough.done():
        told.send(str(everybody.exception()))
    everybody.cancel()
    with suppress(asyncio.CancelledError, RuntimeError):
        await everybody


def _run(who: Listeners, told: Connection) -> None:
    asyncio.run(_listen(who, told))


@contextmanager
def listening(who: Listeners) -> Iterator[None]:
    """Hold the streams open meanwhile.

    Raises
    ------
    RuntimeError
        When one was refused or ended.
    TimeoutError
        When they are not open after a minute.
    """
    start = multiprocessing.get_context("spawn")
    ours, theirs = start.Pipe()
    process = start.Process(target=_run, args=(who, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(OPEN_SECONDS):
            raise TimeoutError("the streams did not open")
        said = ours.recv()
        if said != "open":
            raise RuntimeError(said)
        yield
        if ours.poll():
            raise RuntimeError(ours.recv())
        ours.send("enough")
        process.join(timeout=20)
    finally:
        if process.is_alive():
            process.kill()
            process.join()
