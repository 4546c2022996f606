"""Where the registry benchmarks run: folders, S3 as moto plays it, a folder behind HTTP; releases made up for them.

All servers are processes of their own on loopback, so that neither side waits for the other's interpreter.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "registry"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "admin"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent))

import common
import servers


def parser(doc: str) -> argparse.ArgumentParser:
    """The arguments of the registry benchmarks; they need neither networks nor images."""
    result = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--out", type=Path, default=common.ROOT / "benchmarks" / "results", help="for the JSON figures")
    result.add_argument("--short", action="store_true", help="a small form that shows in a minute that it works")
    return result


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder, on the disk that holds temporary files."""
    with tempfile.TemporaryDirectory(prefix="modhub-benchmark-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def own_home() -> Iterator[Path]:
    """An empty home, so that no user's configuration, cache or registry takes part; undone in the end."""
    with folder() as home:
        own = {"HOME": str(home)} | {name: str(home / name.lower()) for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
        own |= {"XDG_DATA_HOME": str(home / "data"), "MODHUB_REGISTRY": "", "MODHUB_CACHE": str(home / "cache")}
        with environment(own):
            yield home


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def s3() -> Iterator[servers.S3Server]:
    """A moto server that ``s3://`` leads to, here and in every process started from here."""
    with servers.s3_server() as server, environment(servers.aws_environment(server.endpoint)):
        yield server


@contextmanager
def http_server(root: Path) -> Iterator[str]:
    """``root`` behind a plain web server; gives its URL."""
    command = [sys.executable, __file__, str(root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://{servers.LOOPBACK}:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


class _Handler(servers.StaticHandler):
    # Python's server sends headers and body apart, and the second would wait 40 ms for the receipt of the first.
    disable_nagle_algorithm = True


def _serve(root: str) -> None:
    kind = functools.partial(_Handler, directory=root)
    server = http.server.ThreadingHTTPServer((servers.LOOPBACK, 0), kind)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
