"""What the PDF maker may read: files of our own report folder, and nothing else.

Report text is user input. WeasyPrint's own fetcher would follow any address in it, into the centre's network or its
file system (measured: it embedded `/etc/hostname`).
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from weasyprint.urls import URLFetcher


class OnlyOurs(URLFetcher):  # type: ignore[misc]
    """A fetcher that refuses every address but `file:` ones below one folder.

    Parameters
    ----------
    folder : Path
        The folder with the style sheet and the fonts.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(allowed_protocols=("file",), allow_redirects=False, fail_on_errors=True)
        self._folder = folder.resolve()

    def fetch(self, url: str, headers: dict[str, str] | None = None) -> object:
        """The answer for one of our files.

        Raises
        ------
        ValueError
            Any other address. The message does not repeat it: it comes from a report's text.
        """
        parts = urlsplit(url)
        path = Path(unquote(parts.path)).resolve()
        if parts.scheme != "file" or parts.netloc or not path.is_relative_to(self._folder):
            raise ValueError("the report may only read files of its own template folder")
        return super().fetch(path.as_uri(), headers)
