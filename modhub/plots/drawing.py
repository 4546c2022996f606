"""What all plots share: figures of a size, one look whatever the user's own settings are, and files that never differ.

Nothing here touches matplotlib's global state: figures are made without pyplot, and settings hold for one plot only.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from modhub.errors import Conflict, StorageError, UsageError
from modhub.spec.places import is_folder, is_there
from modhub.storage import files

#: One hue for amounts, light to dark, and what is drawn beside it.
AMOUNTS: Final = "Blues"
STRONG: Final = "#1f5a96"
SOFT: Final = "#9fc1e3"
ACCENT: Final = "#d1662a"
INK: Final = "#333333"
FAINT: Final = "#b8b8b8"

_DPI: Final = 110
_LOOK: Final[Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    # A class may be called "$5$"; it is not mathematics.
    "text.parse_math": False,
    "text.usetex": False,
}


def check_matplotlib_installed() -> None:
    """Raise UsageError, kind ``missing-extra``, without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(
            "plots are drawn by matplotlib, which is not installed.",
            kind="missing-extra",
            hint="pip install 'modhub[plot]'",
        )


def check_folder(folder: Path, *, force: bool) -> None:
    """Raise what would keep plots from being written to ``folder``: Conflict, kind ``folder-exists``, UsageError.

    A folder that is empty or not there yet will do; with ``force`` any folder.
    """
    check_matplotlib_installed()
    if is_there(folder) and not is_folder(folder):
        raise Conflict(f"{folder} is a file.", kind="not-a-folder", hint="name a folder.", path=str(folder))
    if is_folder(folder) and files.visible(folder) and not force:
        raise Conflict(
            f"the folder {folder} exists and is not empty.",
            kind="folder-exists",
            hint="name another, or let plots of the same names be replaced there with --force.",
            path=str(folder),
        )


@contextmanager
def look() -> Iterator[None]:
    """Draw with modhub's settings, none of the user's."""
    import matplotlib  # in the extra ``plot``

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        # A name in a script that the font lacks is drawn as boxes; that is no reason to warn.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(width: float, height: float) -> Any:
    """A matplotlib Figure, inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> Path:
    """Write ``figure`` as a PNG file, all of it or nothing; equal figures give equal bytes. Raises StorageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = BytesIO()
        # Without the version of matplotlib, which would be all that differs between two of them.
        figure.savefig(drawn, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.12, metadata={"Software": None})
        files.overwrite(path, drawn.getvalue(), durable=True)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}.",
            kind="not-writable",
            hint="free some space, or choose another folder.",
            path=str(path),
        ) from error
    return path


def shortened(name: str, most: int = 28) -> str:
    """A name short enough to leave space for the plot."""
    return name if len(name) <= most else name[: most - 1] + "…"
