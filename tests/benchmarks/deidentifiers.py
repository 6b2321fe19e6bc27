"""Ours beside other de-identifiers on the same files, each alone in a process of its own, in turn.

The peers are for measuring only: each gets an environment of its own below ``build/bench`` from the package index, and one
that cannot be laid is said to be missing. Compared is speed: none of them has this profile, see the columns of
docs/deidentification.md for what ours does.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from teleread.demo.study import make_study

ENVIRONMENTS = Path(__file__).parents[2] / "build" / "bench"

#: Around what a tool does with one file: the clock and the processor time of the loop, without imports and warm-up.
_HARNESS = """
import json, os, sys, time, warnings
warnings.simplefilter("ignore")
source, target = sys.argv[1:3]
names = sorted(os.listdir(source))
{setup}
def clean(name, folder):
    i, o = os.path.join(source, name), os.path.join(folder, name)
    {clean}
warm = target + "-warm"
os.makedirs(warm)
for name in names[:3]:
    clean(name, warm)
os.makedirs(target)
began, cpu = time.perf_counter(), time.process_time()
for name in names[: {limit}]:
    clean(name, target)
seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
made = [name for name in os.listdir(target) if os.path.getsize(os.path.join(target, name)) > 1000]
print(json.dumps({{"files": len(made), "seconds": seconds, "cpu": cpu}}))
"""

_OURS = """
from pathlib import Path
from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.profile import FacilityKeys
keys = FacilityKeys(b"u" * 32, b"p" * 32)
"""


@dataclass(frozen=True)
class Tool:
    """A de-identifier: the package it needs ("" for ours) and how it cleans file ``i`` to file ``o``."""

    name: str
    package: str
    setup: str
    clean: str
    limit: int = 1000


TOOLS = (
    Tool("teleread", "", _OURS, "deidentify_file(Path(i), Path(o), keys=keys, durable=False)"),
    Tool("teleread_durable", "", _OURS, "deidentify_file(Path(i), Path(o), keys=keys)"),
    Tool(
        "dcmanon",
        "dcmanon==0.3.1",
        "from dcmanon import Anonymizer\ntool = Anonymizer()",
        'open(o, "wb").write(tool.anonymize(i))',
    ),
    Tool(
        "dicognito",
        "dicognito==0.19.0",
        'import pydicom\nfrom dicognito.anonymizer import Anonymizer\ntool = Anonymizer(seed="bench")',
        "ds = pydicom.dcmread(i); tool.anonymize(ds); ds.save_as(o)",
    ),
    Tool(
        "dicom-anonymizer",
        "dicom-anonymizer==2.1.0",
        "from dicomanonymizer import anonymize_dicom_file",
        "anonymize_dicom_file(i, o)",
    ),
    Tool(
        "deid",
        "deid==0.4.13",
        "import logging, contextlib, io\nfrom deid.logger import bot\nbot.level = -5\n"
        "from deid.dicom import replace_identifiers",
        "replace_identifiers([i], save=True, overwrite=True, output_folder=folder)",
        # Slow enough to be known after a fifth of the files.
        limit=60,
    ),
)


def write_ct(folder: Path, slices: int = 300) -> list[Path]:
    """Write a CT series with the header of a scanner: private blocks, sequences, references, 512 x 512 x 16 bit."""
    folder.mkdir(parents=True)
    ds = next(iter(make_study(datetime(2026, 5, 11, 10, 15))))  # noqa: DTZ001 - the modality's local time
    step = Dataset()
    step.CodeValue, step.CodingSchemeDesignator, step.CodeMeaning = "CTCHEST", "99TELEREAD", "CT chest"
    request = Dataset()
    request.RequestedProcedureDescription = "CT chest with contrast"
    request.ScheduledProcedureStepDescription = "Chest"
    request.ScheduledProtocolCodeSequence = Sequence([step])
    ds.RequestAttributesSequence = Sequence([request])
    ds.OperatorsName, ds.InstitutionName = "SUZUKI^JIRO", "Asahi Cape Clinic"
    ds.KVP, ds.ExposureTime, ds.XRayTubeCurrent, ds.ConvolutionKernel = "120", 500, 210, "B30f"
    ds.SliceThickness, ds.GantryDetectorTilt, ds.TableHeight = "1.25", "0", "150"
    for creator, group in (("GEMS_ACQU_01", 0x0019), ("GEMS_RELA_01", 0x0021), ("GEMS_PARM_01", 0x0043)):
        block = ds.private_block(group, creator, create=True)
        for number in range(20):
            block.add_new(number + 2, "DS", f"{number * 1.25:.2f}")
    first = f"{ds.SeriesInstanceUID}.1"
    for number in range(1, slices + 1):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SeriesInstanceUID}.{number}"
        ds.InstanceNumber = number
        ds.ImagePositionPatient = [-180, -180, 1.25 * number]
        ds.SliceLocation = f"{1.25 * number:.2f}"
        ds.AcquisitionTime = ds.ContentTime = f"1015{number // 10:02d}.{number % 10}"
        ds.AcquisitionNumber = number // 100
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = ds.SOPClassUID, first
        ds.ReferencedImageSequence = Sequence([reference])
        ds.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return sorted(folder.iterdir())


def python_of(tool: Tool) -> Path | str:
    """Return the interpreter that has a tool, laying its environment first; a sentence where that fails."""
    if not tool.package:
        return Path(sys.executable)
    folder = ENVIRONMENTS / tool.package
    interpreter = folder / "bin" / "python"
    if (folder / "laid").exists():
        return interpreter
    uv = [str(Path(sys.executable).with_name("uv"))]
    for command in (
        [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [*uv, "pip", "install", "--quiet", "--python", str(interpreter), tool.package],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"not installed: {tool.package}"
    (folder / "laid").touch()
    return interpreter


def run(tool: Tool, interpreter: Path, source: Path, target: Path) -> dict[str, float]:
    """Return files, seconds and processor seconds of one round.

    Raises
    ------
    RuntimeError
        The tool failed, or did not write every file.
    """
    script = _HARNESS.format(setup=tool.setup, clean=tool.clean, limit=tool.limit)
    done = subprocess.run(
        [str(interpreter), "-c", script, str(source), str(target)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2] if not tool.package else target.parent,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it failed")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    wanted = min(tool.limit, len(list(source.iterdir())))
    if told["files"] != wanted:
        raise RuntimeError(f"it wrote {told['files']} of {wanted} files")
    return told


def study_bytes(source: Path) -> int:
    """Return the size of all files of a folder."""
    return sum(path.stat().st_size for path in source.iterdir())
