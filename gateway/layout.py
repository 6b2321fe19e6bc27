"""Where things are in the gateway's folder. No name in it ever comes from a DICOM value."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The paths below the gateway's data folder."""

    data: Path

    @property
    def keys(self) -> Path:
        """Secrets of the facility; none of them ever leaves the box."""
        return self.data / "keys"

    @property
    def logs(self) -> Path:
        """Logs: pseudonyms and the centre's UIDs only."""
        return self.data / "logs"

    @property
    def spool(self) -> Path:
        """Files on their way."""
        return self.data / "spool"

    @property
    def incoming(self) -> Path:
        """Files while their bytes arrive."""
        return self.spool / "incoming"

    @property
    def received(self) -> Path:
        """What the facility sent, as it came."""
        return self.spool / "received"

    @property
    def clean(self) -> Path:
        """What may leave the facility."""
        return self.spool / "clean"

    @property
    def packages(self) -> Path:
        """Signed reports as the centre sent them, under the pseudonym."""
        return self.spool / "packages"

    @property
    def outgoing(self) -> Path:
        """Reports with the patient's name, ready for their destinations."""
        return self.spool / "outgoing"

    @property
    def spool_database(self) -> Path:
        """States and counts of everything on its way."""
        return self.data / "spool.sqlite3"

    @property
    def vault_database(self) -> Path:
        """Pseudonym and identity."""
        return self.data / "vault.sqlite3"

    def make(self) -> None:
        """Make the folders, closed to other users of the box."""
        self.data.mkdir(parents=True, exist_ok=True)
        for folder in (
            self.keys,
            self.logs,
            self.spool,
            self.incoming,
            self.received,
            self.clean,
            self.packages,
            self.outgoing,
        ):
            folder.mkdir(mode=0o700, exist_ok=True)
