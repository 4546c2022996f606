"""Execute the notebooks of examples/notebooks: of each .py in percent format an .ipynb with its outputs.

    python scripts/build_notebooks.py               all
    python scripts/build_notebooks.py 4 5           those whose names begin so

The .py files are edited, the .ipynb files only written here; tests/examples/test_notebooks.py compares. All run in one
kernel, emptied between two, in a home of its own: they have nothing but the starter registry.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "notebooks"
TIMEOUT = 600
#: Without the version of the Python that ran.
_LANGUAGE = {"name": "python"}
#: What TensorFlow and Matplotlib write to stderr on some machines; no library of ours logs so.
_CHATTER = re.compile(r"^(WARNING: All log messages before absl|[IWE]\d{4} [\d:.]+|Matplotlib is building).*\n?", re.M)


def sources() -> list[Path]:
    return sorted(FOLDER.glob("*.py"))


def from_source(source: Path) -> Any:
    """The notebook of a .py file, without outputs."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number}", {}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": dict(_LANGUAGE)}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(notebooks: Sequence[Any], folder: Path) -> None:
    """Fill in the outputs. ``folder`` becomes the kernel's home. Raises CellExecutionError, which shows the cell."""
    # In a thread of its own: whoever calls may have an event loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _execute(notebooks, folder)).result()
    for notebook in notebooks:
        notebook.metadata.language_info = nbformat.from_dict(_LANGUAGE)
        for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
            cell.execution_count, cell.metadata = number, {}
            cell.outputs = [_without_places(output) for output in cell.outputs if _is_kept(output, number)]


async def _execute(notebooks: Sequence[Any], folder: Path) -> None:
    kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", connection_file=str(folder / "kernel.json"))
    await kernel.start_kernel(env=_environment(folder), cwd=str(folder))
    try:
        for notebook in notebooks:
            client = NotebookClient(notebook, km=kernel, timeout=TIMEOUT)
            await client.async_execute(cleanup_kc=False)
            await client.kc.execute_interactive("%reset -f", silent=True)
            client.kc.stop_channels()
    finally:
        await kernel.shutdown_kernel(now=True)


def _environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MODHUB", "XDG"))}
    # A bar that shows on slow machines alone would be an output that fast ones lack.
    return kept | {
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": str(ROOT),
        "MODHUB_PROGRESS": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def _is_kept(output: Any, number: int) -> bool:
    if output.output_type == "execute_result":
        output.execution_count = number
    if output.output_type == "stream" and output.name == "stderr":
        output.text = _CHATTER.sub("", output.text)
        return bool(output.text)
    return True


def _without_places(output: Any) -> Any:
    """Without the folder of this copy of the repository, in which the starter registry is."""
    return nbformat.from_dict(json.loads(json.dumps(output).replace(f"{ROOT}/", "")))


def main() -> None:
    chosen = [source for source in sources() if not sys.argv[1:] or source.name.startswith(tuple(sys.argv[1:]))]
    notebooks = [from_source(source) for source in chosen]
    with tempfile.TemporaryDirectory() as folder:
        execute(notebooks, Path(folder))
    for source, notebook in zip(chosen, notebooks, strict=True):
        nbformat.write(notebook, source.with_suffix(".ipynb"))
        print(f"wrote {source.with_suffix('.ipynb').relative_to(ROOT)}")


if __name__ == "__main__":
    main()
