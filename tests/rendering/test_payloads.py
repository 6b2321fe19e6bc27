"""Thirty texts that would make a PDF maker ask the network, read a file or attach one, each in every place for text."""

import http.server
import io
import threading
from collections.abc import Iterator
from dataclasses import replace

import pikepdf
import pytest

from teleread.rendering.report_pdf import render_report
from tests.rendering.test_report_pdf import CONTENT

pytestmark = pytest.mark.centre

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
PAYLOADS = (
    '<img src="{a}/1">',
    '<img srcset="{a}/2 2x" src="{a}/2b">',
    '<picture><source srcset="{a}/3"><img src="{a}/3b"></picture>',
    '<link rel="attachment" href="{a}/4">',
    '<link rel="stylesheet" href="{a}/5">',
    '<link rel="icon" href="{a}/6">',
    '<a rel="attachment" href="{a}/7">x</a>',
    '<a rel="attachment" href="file:///etc/hostname">x</a>',
    "<style>@import url({a}/9);</style>",
    '<style>@import "{a}/10";</style>',
    "<style>p {{ background: url({a}/11) }}</style>",
    "<style>@font-face {{ font-family: x; src: url({a}/12) }} p {{ font-family: x }}</style>",
    "<style>li {{ list-style-image: url({a}/13) }}</style><ul><li>x</ul>",
    "<style>p::before {{ content: url({a}/14) }}</style>",
    "<style>@page {{ background: url({a}/15) }}</style>",
    '<p style="background-image: url({a}/16)">x</p>',
    SVG + '<image href="{a}/17"/></svg>',
    SVG + '<image xlink:href="{a}/18"/></svg>',
    SVG + '<use href="{a}/19#x"/></svg>',
    SVG + "<style>@import url({a}/20);</style></svg>",
    '<object data="{a}/21"></object>',
    '<object data="file:///etc/hostname" type="text/plain"></object>',
    '<embed src="{a}/23">',
    '<iframe src="{a}/24"></iframe>',
    '<base href="{a}/25/"><img src="x">',
    '<meta http-equiv="refresh" content="0; url={a}/26">',
    '<img src="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22%3E%3Cimage href=%22{a}/27%22/%3E%3C/svg%3E">',
    '<img src="data:application/postscript,%25!PS-Adobe-3.0 EPSF-3.0 ({a}/28) run">',
    '<img src="file:///etc/hostname">',
    '<img src="{a}/redirect">',
)


@pytest.fixture(scope="module")
def canary() -> Iterator[tuple[str, list[str]]]:
    """A web server that notes who asks; `/redirect` points at a file."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_thirty_payloads_ask_nobody_and_attach_nothing(canary: tuple[str, list[str]]) -> None:
    address, asked = canary
    texts = [payload.format(a=address) for payload in PAYLOADS]
    assert len(set(texts)) == 30
    places = ("signer_name", "facility_name", "examination", "centre_name")
    for start in range(0, len(texts), 5):
        some = texts[start : start + 5]
        fields = {name: getattr(CONTENT, name) + text for name, text in zip(places, some[1:], strict=True)}
        sections = {"findings": "\n".join(some), "impression": some[0], "recommendation": some[-1]}
        rendered = render_report(replace(CONTENT, sections=sections, **fields))
        with pikepdf.open(io.BytesIO(rendered.pdf)) as pdf:
            # Its own content, which every report carries.
            assert list(pdf.attachments) == ["report.json"]
    assert asked == []
