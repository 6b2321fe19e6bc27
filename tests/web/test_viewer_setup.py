"""The set-up of the viewer stops, with its reason, at a package that is not the one it knows."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from teleread.web import viewer_setup
from teleread.web.viewer_setup import SetupFault

PAGE = (
    '<script>a(),window.PUBLIC_URL="/"</script>'
    '<script>function f(n){return import(n)}window.PUBLIC_URL="/"</script>'
    '<script defer src="/app.bundle.0123456789abcdef.js"></script><link href="/app.bundle.css" rel="stylesheet">'
)
BUNDLE = "app.bundle.0123456789abcdef.js"
I18NEXT = "26104(a, b, c) {\n  A: () => (/* binding */ esm_i18next)\n"
CHUNKS = 'globalThis["rspackChunk"] = [];\n'


def test_a_package_with_other_bytes_is_refused(tmp_path: Path) -> None:
    package = tmp_path / "app.tgz"
    package.write_bytes(b"something else")
    with pytest.raises(SetupFault, match="SHA-512"):
        viewer_setup.check_integrity(package)
    digest = base64.b64encode(hashlib.sha512(b"something else").digest()).decode()
    viewer_setup.check_integrity(package, f"sha512-{digest}")


def test_only_what_is_served_is_unpacked(tmp_path: Path) -> None:
    package, target = tmp_path / "app.tgz", tmp_path / "files"
    target.mkdir()
    names = [
        "package/LICENSE", "package/dist/index.html", f"package/dist/{BUNDLE}", "package/dist/app.bundle.css",
        "package/dist/sw.js", "package/dist/google.js", "package/dist/init-service-worker.js",
        "package/dist/app-config.js", "package/dist/ort/ort.wasm", "package/dist/../../out.bundle.0123456789abcdef.js",
    ]  # fmt: skip
    with tarfile.open(package, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    assert viewer_setup.unpack(package, target) == "x"
    assert sorted(path.name for path in target.iterdir()) == ["LICENSE", BUNDLE, "app.bundle.css"]


def test_inline_scripts_become_files_below_our_address(tmp_path: Path) -> None:
    scripts, bundle, styles = viewer_setup.patch_page(PAGE, tmp_path)
    assert (scripts, bundle, styles) == (("inline-1.js", "inline-2.js"), BUNDLE, "app.bundle.css")
    assert all('PUBLIC_URL="/viewer/"' in (tmp_path / name).read_text() for name in scripts)


@pytest.mark.parametrize(
    "page",
    [
        PAGE.replace("<script>a()", "<script>b()</script><script>a()"),
        PAGE.replace("import(n)", "load(n)"),
        PAGE.replace("app.bundle.0123456789abcdef.js", "main.js"),
        PAGE.replace("app.bundle.css", "main.css"),
    ],
)
def test_another_page_stops_the_set_up(tmp_path: Path, page: str) -> None:
    with pytest.raises(SetupFault):
        viewer_setup.patch_page(page, tmp_path)


def test_addresses_are_moved_and_counted(tmp_path: Path) -> None:
    for number in range(viewer_setup.PUBLIC_PATHS):
        (tmp_path / f"{number}.js").write_text('__webpack_require__.p = "/";')
    (tmp_path / "a.css").write_text("url(/font.woff2) url('/b.png') url(//elsewhere) url(data:x)")
    viewer_setup.patch_addresses(tmp_path, "/viewer/x/")
    assert (tmp_path / "0.js").read_text() == '__webpack_require__.p = "/viewer/x/";'
    moved = "url(/viewer/x/font.woff2) url('/viewer/x/b.png') url(//elsewhere) url(data:x)"
    assert (tmp_path / "a.css").read_text() == moved
    with pytest.raises(SetupFault, match="public paths"):
        viewer_setup.patch_addresses(tmp_path, "/viewer/y/")


def test_what_the_scripts_rely_on_is_checked(tmp_path: Path) -> None:
    (tmp_path / BUNDLE).write_text(CHUNKS + I18NEXT + "decodeTask")
    (tmp_path / "8097.js").write_text("decodeTask")
    assert viewer_setup.check_pinned(tmp_path, BUNDLE) == "8097.js"
    (tmp_path / "1.js").write_text("decodeTask")
    with pytest.raises(SetupFault, match="decode worker"):
        viewer_setup.check_pinned(tmp_path, BUNDLE)
    (tmp_path / BUNDLE).write_text(CHUNKS + I18NEXT.replace("26104", "26105"))
    with pytest.raises(SetupFault, match="i18next"):
        viewer_setup.check_pinned(tmp_path, BUNDLE)
    (tmp_path / BUNDLE).write_text(I18NEXT)
    with pytest.raises(SetupFault, match="chunks"):
        viewer_setup.check_pinned(tmp_path, BUNDLE)


def test_compressed_files_are_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("x" * 1000)
    viewer_setup.compress(tmp_path)
    first = (tmp_path / "a.js.gz").read_bytes()
    viewer_setup.compress(tmp_path)
    assert (tmp_path / "a.js.gz").read_bytes() == first
    assert gzip.decompress(first) == b"x" * 1000
