"""Ways to the centre's own people, and to the facility's once something is late: mail, and a pager or telephone service.

A message holds case number, priority, category, minutes left and a link, and nothing else: it crosses networks that are
not ours. A channel has answered only when the other side took each message in so many words.
"""

import hashlib
import hmac
import json
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import httpx

from teleread.domain.identifiers import format_case_number
from teleread.services.critical import AlertMessage
from teleread.settings import ServerSettings

#: Both ways together stay far below the time limit of the job.
TIMEOUT_SECONDS = 10.0

#: (with minutes left, late)
_SUBJECTS = {
    "ja": (
        "緊急所見 区分{category} 症例 {case} 残り{minutes}分",
        "緊急所見 区分{category} 症例 {case} {minutes}分 超過",
    ),
    "en": (
        "Critical finding, cat. {category}, case {case}: {minutes} min left",
        "Critical finding, cat. {category}, case {case}: {minutes} min late",
    ),
}
_BODIES = {
    "ja": "症例番号: {case}\n区分: {category}\n優先度: {priority}\n{time}\n{link}\n",
    "en": "Case: {case}\nCategory: {category}\nPriority: {priority}\n{time}\n{link}\n",
}
_TIMES = {"ja": ("残り {minutes}分", "{minutes}分 超過"), "en": ("{minutes} min left", "{minutes} min late")}
_PRIORITIES = {
    "ja": {"stat": "緊急", "urgent": "至急", "routine": "通常", "screening": "健診"},
    "en": {"stat": "STAT", "urgent": "Urgent", "routine": "Routine", "screening": "Screening"},
}


@dataclass(frozen=True)
class Said:
    """What a channel answered: `code` is ours, never a text of the other side."""

    answered: bool
    code: str


NOT_SET_UP = Said(answered=False, code="not_set_up")


def send(message: AlertMessage, settings: ServerSettings, *, at: datetime) -> Said:
    """Send a message by its channel and return the answer; a channel that is not set up has not answered."""
    return _CHANNELS[message.channel](message, settings, at)


def _link(message: AlertMessage, settings: ServerSettings) -> str:
    return f"{settings.public_url}/cases/{message.case_number}/critical"


def _addresses(message: AlertMessage) -> tuple[str, ...]:
    return tuple(one.mail for one in message.receivers if one.mail)


def _mail(message: AlertMessage, settings: ServerSettings, at: datetime) -> Said:
    if settings.smtp_url is None:
        return NOT_SET_UP
    said = [_posted(letter(message, settings, at), settings.smtp_url)]
    if _addresses(message):
        said.append(_posted(letter_to_facility(message, settings, at), settings.smtp_url))
    # Each of them has to be taken; a failure is followed by the next channel, which then reaches both again.
    return next((one for one in said if not one.answered), said[-1])


def _posted(mail: EmailMessage, url: str) -> Said:
    try:
        refused = _hand_over(mail, url)
    except TimeoutError:
        return Said(answered=False, code="timeout")
    except smtplib.SMTPException as error:
        return Said(answered=False, code=f"refused_{getattr(error, 'smtp_code', '')}".rstrip("_"))
    except OSError:
        return Said(answered=False, code="no_connection")
    return Said(answered=True, code="accepted_by_some" if refused else "accepted")


def letter(message: AlertMessage, settings: ServerSettings, at: datetime) -> EmailMessage:
    """Return the mail of a step to the coordinators; the same step has the same Message-ID each time."""
    return _letter(
        message,
        settings,
        at,
        to=settings.coordinators,
        language=settings.language,
        key=message.key,
        link=_link(message, settings),
    )


def letter_to_facility(message: AlertMessage, settings: ServerSettings, at: datetime) -> EmailMessage:
    """Return the mail of a step to the facility's people: in its language, with a link to its own page."""
    return _letter(
        message,
        settings,
        at,
        to=_addresses(message),
        language=message.language,
        key=f"{message.key}-facility",
        link=f"{settings.public_url}/status",
    )


def _letter(
    message: AlertMessage,
    settings: ServerSettings,
    at: datetime,
    *,
    to: tuple[str, ...],
    language: str,
    key: str,
    link: str,
) -> EmailMessage:
    late = message.minutes_left < 0
    words = {
        "case": format_case_number(message.case_number),
        "category": message.category,
        "priority": _PRIORITIES[language].get(message.priority, message.priority),
        "minutes": abs(message.minutes_left),
        "link": link,
    }
    mail = EmailMessage()
    mail["Subject"] = _SUBJECTS[language][late].format(**words)
    mail["From"] = settings.mail_from
    mail["To"] = ", ".join(to)
    mail["Date"] = at
    mail["Message-ID"] = f"<{key}@{urlsplit(settings.public_url).hostname}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(_BODIES[language].format(**words, time=_TIMES[language][late].format(**words)))
    return mail


def _hand_over(mail: EmailMessage, url: str) -> bool:
    """Give the mail to the server; say whether it refused some of the receivers. All refused raises."""
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    secure = ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, parts.port or 465, timeout=TIMEOUT_SECONDS, context=secure
        )
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT_SECONDS)
    with server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=secure)
            server.ehlo()
        if parts.username:
            if not isinstance(server.sock, ssl.SSLSocket):
                raise smtplib.SMTPNotSupportedError("a password is not sent in the clear")
            server.login(unquote(parts.username), unquote(parts.password or ""))
        return bool(server.send_message(mail))


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """Return the signature of a message to the pager service: HMAC-SHA256 of time stamp, a dot, and body."""
    return "v1=" + hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _pager(message: AlertMessage, settings: ServerSettings, at: datetime) -> Said:
    if settings.pager_url is None:
        return NOT_SET_UP
    document: dict[str, object] = {
        "id": message.key,
        "case_number": message.case_number,
        "category": message.category,
        "priority": message.priority,
        "minutes_left": message.minutes_left,
        "link": _link(message, settings),
    }
    if message.receivers:
        # Whom the service rings at the facility, first rung first; without a name, as on an envelope.
        document["to"] = [one.phone for one in message.receivers]
    body = json.dumps(document).encode()
    timestamp = str(int(at.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": message.key,
        "Teleread-Timestamp": timestamp,
        "Teleread-Signature": signature(settings.pager_key, timestamp, body),
    }
    try:
        answer = httpx.post(
            settings.pager_url, content=body, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
        )
    except httpx.TimeoutException:
        return Said(answered=False, code="timeout")
    except httpx.TransportError:
        return Said(answered=False, code="no_connection")
    if not answer.is_success:
        return Said(answered=False, code=f"refused_{answer.status_code}")
    return Said(answered=True, code="accepted")


_CHANNELS: dict[str, Callable[[AlertMessage, ServerSettings, datetime], Said]] = {
    "mail": _mail,
    "pager": _pager,
}
