"""Event streams: news by ids and versions to every open browser, held by one process beside the people's listener.

A stream costs a task and a short queue here, where it would cost a thread in the listener. The database is looked at
twice a second for all streams together, and each batch asks again whose sessions live: a stream ends with its session.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from teleread import clock
from teleread.errors import TelereadError
from teleread.services import accounts, live
from teleread.storage.session import transaction
from teleread.web.security import COOKIE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from sqlalchemy import Engine

    from teleread.domain.access import Actor
    from teleread.settings import ServerSettings

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)

PATH = "/events"

#: Between two looks at the database.
LOOK_SECONDS = 0.5
#: At least so often each stream says that it is alive, after its session was looked at.
ALIVE_SECONDS = 5.0
#: Sessions that could not be looked at for so long end their streams: nobody follows on an old permission.
UNCHECKED_SECONDS = 12.0
GATEWAYS_SECONDS = 5.0
SEND_SECONDS = 20.0

STREAMS_A_PERSON = 8
STREAMS = 2000

#: Frames that a stream may be behind. A browser that does not read is cut off and asks again from where it was.
BEHIND = 64

# PostgreSQL gives numbers before it commits: a lower one may come to light after a higher one.
_OVERLAP = 200

_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"vary", b"Origin, Cookie"),
]


@dataclass(eq=False)
class Stream:
    """One open stream."""

    digest: str
    actor: Actor
    frames: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(BEHIND))

    @property
    def rights(self) -> tuple[frozenset[str], int | None]:
        """Return what the news depend on; a change of it ends the stream."""
        return self.actor.roles, self.actor.facility_id

    def give(self, frame: bytes) -> bool:
        """Hand on a frame; False if the browser is too far behind."""
        try:
            self.frames.put_nowait(frame)
        except asyncio.QueueFull:
            return False
        return True

    def end(self, why: str) -> None:
        """Say why, and close."""
        while not self.frames.empty():
            self.frames.get_nowait()
        self.frames.put_nowait(frame("end", {"why": why}))
        self.frames.put_nowait(None)


def frame(name: str, data: dict[str, Any], number: int | None = None) -> bytes:
    """Return one event as it goes over the line."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def news_frame(changes: Iterable[live.Change], number: int) -> bytes:
    """Return a batch of news; `number` is where a reconnecting browser goes on."""
    return frame("change", {"changes": [change.told() for change in changes], "newest": number}, number)


@dataclass(frozen=True)
class _Look:
    newest: int
    changes: list[live.Change]
    living: dict[str, accounts.SignedIn]


class Hub:
    """Every open stream, and the one loop that looks for news.

    Parameters
    ----------
    engine : Engine
    settings : ServerSettings
    """

    def __init__(self, engine: Engine, settings: ServerSettings) -> None:
        self._engine = engine
        self._settings = settings
        self.streams: set[Stream] = set()
        self._newest = 0
        self._seen: set[int] = set()
        self._gateways: dict[str, str] = {}
        self._checked_at = 0.0
        self._gateways_at = 0.0

    async def begin(self) -> None:
        """Take the present as the point from which news count."""
        await asyncio.to_thread(self._first_look)
        self._checked_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Look for news until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._turn(loop.time())
            except TelereadError as error:
                _log.warning("no look at the database (%s)", error.code)
            if loop.time() - self._checked_at > UNCHECKED_SECONDS:
                self._end_all("unavailable")
            await asyncio.sleep(LOOK_SECONDS)

    async def admit(self, token: str, after: int | None) -> Stream | int:
        """Open a stream for a session; or return the status that refuses it.

        Parameters
        ----------
        token : str
            Of the cookie.
        after : int or None
            The last number that the browser has; the stream begins with what came since.
        """
        digest = accounts.token_digest(token)
        found = await asyncio.to_thread(self._look_at_sessions, [digest])
        person = found.get(digest)
        if person is None:
            return 401
        if not live.may_follow(person.actor):
            return 403
        if len(self.streams) >= STREAMS:
            return 503
        if Counter(one.actor.user_id for one in self.streams)[person.user_id] >= STREAMS_A_PERSON:
            return 429
        stream = Stream(digest, person.actor)
        # From here on each batch reaches the stream; what came before is looked up, and news told twice do no harm.
        self.streams.add(stream)
        newest = self._newest
        stream.give(frame("hello", {"newest": newest}, newest))
        if after is not None and after < newest:
            missed = await asyncio.to_thread(self._missed, after, person.actor)
            if missed is None:
                stream.give(frame("reset", {"newest": newest}, newest))
            elif missed:
                stream.give(news_frame(missed, newest))
        return stream

    def leave(self, stream: Stream) -> None:
        """Forget a stream."""
        self.streams.discard(stream)

    def _end_all(self, why: str) -> None:
        for stream in list(self.streams):
            self._end(stream, why)

    def _end(self, stream: Stream, why: str) -> None:
        stream.end(why)
        self.streams.discard(stream)

    async def _turn(self, now: float) -> None:
        is_due = now - self._checked_at >= ALIVE_SECONDS
        with_gateways = now - self._gateways_at >= GATEWAYS_SECONDS
        digests = {stream.digest for stream in self.streams}
        look = await asyncio.to_thread(self._look, digests, is_due=is_due, with_gateways=with_gateways)
        if with_gateways:
            self._gateways_at = now
        self._newest = max(self._newest, look.newest)
        if look.changes or is_due:
            self._check(digests, look.living)
        if look.changes:
            self._tell(look.changes)
        if is_due:
            self._checked_at = now
            alive = frame("alive", {"newest": self._newest})
            for stream in list(self.streams):
                self._give(stream, alive)

    def _check(self, digests: set[str], living: dict[str, accounts.SignedIn]) -> None:
        for stream in list(self.streams):
            # A stream that came during the look was looked at when it was admitted.
            if stream.digest not in digests:
                continue
            person = living.get(stream.digest)
            if person is None:
                self._end(stream, "signed_out")
            elif (person.actor.roles, person.actor.facility_id) != stream.rights:
                self._end(stream, "changed")

    def _tell(self, changes: list[live.Change]) -> None:
        # Streams with the same rights get the same bytes.
        frames: dict[tuple[frozenset[str], int | None], bytes | None] = {}
        for stream in list(self.streams):
            if stream.rights not in frames:
                own = [change for change in changes if live.is_for(change, stream.actor)]
                frames[stream.rights] = news_frame(own, self._newest) if own else None
            made = frames[stream.rights]
            if made is not None:
                self._give(stream, made)

    def _give(self, stream: Stream, made: bytes) -> None:
        if not stream.give(made):
            self._end(stream, "behind")

    # What follows runs beside the loop, one at a time for the loop's own looks.

    def _first_look(self) -> None:
        at = clock.now()
        with transaction(self._engine, writes=False) as session:
            self._newest = live.newest(session)
            rows = live.events_after(session, self._newest - _OVERLAP)
            self._seen = {row.number for row in rows}
            self._gateways = {one.subject: one.state for one in live.gateways(session, at=at)}

    def _look(self, digests: set[str], *, is_due: bool, with_gateways: bool) -> _Look:
        at = clock.now()
        with transaction(self._engine, writes=False) as session:
            rows = live.events_after(session, self._newest - _OVERLAP)
            fresh = [row for row in rows if row.number not in self._seen]
            changes = live.resolve(session, fresh) if digests else []
            if with_gateways:
                now = live.gateways(session, at=at)
                changes += [one for one in now if self._gateways.get(one.subject) != one.state]
                self._gateways = {one.subject: one.state for one in now}
            living = self._living(session, digests) if digests and (changes or is_due) else {}
        newest = rows[-1].number if rows else self._newest
        self._seen = {row.number for row in rows if row.number > newest - _OVERLAP}
        return _Look(newest, changes, living)

    def _living(self, session: Any, digests: Iterable[str]) -> dict[str, accounts.SignedIn]:
        return accounts.living_sessions(
            session,
            digests,
            at=clock.now(),
            idle=timedelta(seconds=self._settings.idle_seconds),
            absolute=timedelta(seconds=self._settings.absolute_seconds),
        )

    def _look_at_sessions(self, digests: Iterable[str]) -> dict[str, accounts.SignedIn]:
        with transaction(self._engine, writes=False) as session:
            return self._living(session, digests)

    def _missed(self, after: int, actor: Actor) -> list[live.Change] | None:
        with transaction(self._engine, writes=False) as session:
            return live.changes_after(session, max(0, after - _OVERLAP), actor=actor)


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address as browsers write them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Application:
    """The ASGI application: one path, one method, one cookie.

    Parameters
    ----------
    hub : Hub
    settings : ServerSettings
        Only pages of `public_url` may listen.
    """

    def __init__(self, hub: Hub, settings: ServerSettings) -> None:
        self.hub = hub
        self._origin = origin_of(settings.public_url)
        self._loop: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the process's begin and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.hub.begin()
                self._loop = asyncio.create_task(self.hub.run())
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._loop is not None:
                    self._loop.cancel()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/healthz":
            await _answer(send, 200, b"ok")
            return
        if scope["path"] != PATH:
            await _answer(send, 404)
            return
        if scope["method"] != "GET":
            await _answer(send, 405)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if (
            headers.get("origin", self._origin) != self._origin
            or headers.get("sec-fetch-site") == "cross-site"
        ):
            await _answer(send, 403)
            return
        try:
            stream = await self.hub.admit(_token(headers.get("cookie", "")), _after(scope, headers))
        except TelereadError:
            stream = 503
        if isinstance(stream, int):
            await _answer(send, stream, origin=self._origin)
            return
        try:
            await self._stream(stream, receive, send)
        finally:
            self.hub.leave(stream)

    async def _stream(self, stream: Stream, receive: Receive, send: Send) -> None:
        kind = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        headers = [*kind, *_cors(self._origin), *_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"retry: 2000\n\n", "more_body": True})
        gone = asyncio.create_task(_gone(receive))
        try:
            while not gone.done():
                got = asyncio.create_task(stream.frames.get())
                await asyncio.wait({got, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not got.done():
                    got.cancel()
                    return
                made = got.result()
                if made is None:
                    break
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": made, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            _log.info("a browser takes nothing any more; its stream is closed")
        finally:
            gone.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _cors(origin: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin.encode()),
        (b"access-control-allow-credentials", b"true"),
    ]


async def _answer(send: Send, status: int, body: bytes = b"", origin: str = "") -> None:
    headers = [*_HEADERS, (b"content-length", str(len(body)).encode()), *(_cors(origin) if origin else ())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _token(text: str) -> str:
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(text)
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _after(scope: Scope, headers: dict[str, str]) -> int | None:
    # A page that opens a stream anew cannot set the header, so it may say the number in the address.
    asked = parse_qs(scope["query_string"].decode("latin-1")).get("after", [""])[0]
    text = headers.get("last-event-id") or asked
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
