#!/usr/bin/env python3
"""How much ``modhub serve`` answers on loopback beside ``Composite.predict``, how late, and that nothing gets lost.

    python benchmarks/serve.py [--seconds 60] [--clients 50] [--refs cifar10/r20:cat ...]

Clients are connections that ask for one raw image each, over and over, by the Open Inference Protocol with binary
tensors; each answer is compared with what ``predict`` says. The yardstick is ``predict`` in this process, alone, before
and after, with as many images at once as the server's batches had in the mean. Processor time an image is compared as
well, which other work on the machine does not change. Then the server is told to stop while every client waits: what
was accepted has to be answered. Memory is the server's, as Linux counts it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import requests

REFS = ("cifar10/r20:cat", "cifar10/r20:dog", "cifar100/r20:apple")
IMAGES = 256
#: Seconds between two looks at the server's memory, and of each yardstick.
LOOK = 1.0
YARDSTICK = 10.0


@dataclass
class Seen:
    """What clients saw."""

    latencies: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    wrong: int = 0
    unanswered: int = 0

    def count(self, status: str) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1


def request_of(image: Any, name: str) -> bytes:
    """A whole HTTP request for one image."""
    tensor = {"name": "images", "shape": [1, *image.shape], "datatype": "UINT8"}
    tensor["parameters"] = {"binary_data_size": image.nbytes}
    wanted = [{"name": "margins", "parameters": {"binary_data": True}}]
    said = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
    head = (
        f"POST /v2/models/{name}/infer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n"
        f"inference-header-content-length: {len(said)}\r\ncontent-length: {len(said) + image.nbytes}\r\n\r\n"
    )
    return head.encode() + said + image.tobytes()


async def answer_from(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status, body behind the JSON, and whether the connection ends."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(re.search(r"\r\ncontent-length: (\d+)", head)[1])
    said = re.search(r"inference-header-content-length: (\d+)", head)
    body = await reader.readexactly(length)
    return int(head.split(" ", 2)[1]), body[int(said[1]) if said else 0 :], "connection: close" in head


async def client(place: Any, requests_: list[bytes], wanted: Any, number: int, until: Any, seen: Seen) -> None:
    """Ask over one connection until it is enough, or the server leaves."""
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        while not until.is_set():
            number = (number + 1) % len(requests_)
            began = time.perf_counter()
            writer.write(requests_[number])
            await writer.drain()
            try:
                status, body, ends = await answer_from(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                seen.unanswered += 1
                return
            seen.count(str(status))
            if status == 200:
                seen.latencies.append(time.perf_counter() - began)
            if status == 200 and np.abs(np.frombuffer(body, "<f4") - wanted[number]).max() > 1e-5:
                seen.wrong += 1
            if ends:
                return
    finally:
        writer.close()


async def load(place: Any, requests_: list[bytes], wanted: Any, clients: int, until: asyncio.Event, seen: Seen) -> None:
    step = len(requests_) // clients or 1
    await asyncio.gather(
        *(client(place, requests_, wanted, number * step, until, seen) for number in range(clients)),
        return_exceptions=False,
    )


def resident(pid: int) -> float:
    """MiB of memory that a process has."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024


def processor(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def batches(url: str) -> tuple[float, float]:
    """Images and batches so far."""
    text = requests.get(f"{url}/metrics", timeout=60).text
    images, count = (float(re.search(rf"modhub_batch_images_{name} (\S+)", text)[1]) for name in ("sum", "count"))
    return images, count


async def measure(url: str, pid: int, requests_: list[bytes], wanted: Any, options: Any) -> dict[str, Any]:
    place, seen, until = urlsplit(url), Seen(), asyncio.Event()
    warming, enough = Seen(), asyncio.Event()
    asyncio.get_running_loop().call_later(5, enough.set)
    await load(place, requests_, wanted, options.clients, enough, warming)
    before, worked = batches(url), processor(pid)
    memory = [resident(pid)]
    began = time.perf_counter()
    running = asyncio.create_task(load(place, requests_, wanted, options.clients, until, seen))
    while time.perf_counter() - began < options.seconds:
        await asyncio.sleep(LOOK)
        memory.append(resident(pid))
    until.set()
    await running
    elapsed = time.perf_counter() - began
    after = batches(url)
    rank = sorted(seen.latencies)
    return {
        "seconds": elapsed,
        "answers": len(seen.latencies),
        "statuses": seen.statuses,
        "wrong": seen.wrong,
        "unanswered": seen.unanswered,
        "images_a_second": len(seen.latencies) / elapsed,
        "processor_ms_an_image": 1000 * (processor(pid) - worked) / max(1, len(seen.latencies)),
        "batch": (after[0] - before[0]) / max(1, after[1] - before[1]),
        "p50": rank[len(rank) // 2],
        "p99": rank[int(0.99 * len(rank))],
        "memory": [memory[0], memory[-1], max(memory)],
        "slope_mib_a_minute": float(np.polyfit(np.linspace(0, elapsed / 60, len(memory)), memory, 1)[0]),
    }


async def stopping(url: str, server: Any, requests_: list[bytes], wanted: Any, options: Any) -> dict[str, Any]:
    """SIGTERM under full load: seconds until the process has ended, and what became of the requests."""
    seen, never = Seen(), asyncio.Event()
    running = asyncio.create_task(load(urlsplit(url), requests_, wanted, options.clients, never, seen))
    await asyncio.sleep(3)
    began = time.perf_counter()
    server.send_signal(signal.SIGTERM)
    code = await asyncio.get_running_loop().run_in_executor(None, server.wait)
    seconds = time.perf_counter() - began
    await running
    return {
        "seconds": seconds, "code": code, "statuses": seen.statuses, "wrong": seen.wrong, "unanswered": seen.unanswered
    }  # fmt: skip


def rate(classifier: Any, x: Any, batch: int) -> tuple[float, float]:
    """Images a second of ``predict`` with so many at once, and milliseconds of processor time an image."""
    began, worked, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < YARDSTICK:
        start = count % (len(x) - batch + 1)
        classifier.predict(x[start : start + batch], batch_size=batch)
        count += batch
    return count / (time.perf_counter() - began), 1000 * (time.process_time() - worked) / count


def main() -> None:
    arguments = common.parser(__doc__ or "", needs_data=False)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--clients", type=int, default=50)
    arguments.add_argument("--refs", nargs="+", default=REFS)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"MODHUB_CACHE": f"{home}/cache", "HOME": home}
        import modhub

        classifier = modhub.compose(options.refs)
        x = np.random.default_rng(0).integers(0, 256, (IMAGES, *classifier.plan.contract.shape), np.uint8)
        wanted = classifier.predict(x).margins
        requests_ = [request_of(image, "classifier") for image in x]
        command = [sys.executable, "-m", "modhub", "serve", *options.refs, "--port", "0"]
        started = os.getloadavg()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            url = re.search(r"http://\S+", server.stdout.readline())[0]
            try:
                found = asyncio.run(measure(url, server.pid, requests_, wanted, options))
                batch = max(1, round(found["batch"]))
                for count in (1, batch, batch, batch):
                    classifier.predict(x[:count], batch_size=batch)
                rates = [rate(classifier, x, batch)]
                again = asyncio.run(measure(url, server.pid, requests_, wanted, options))
                rates.append(rate(classifier, x, batch))
                stop = asyncio.run(stopping(url, server, requests_, wanted, options))
            finally:
                server.kill()
    figures = {
        "refs": list(options.refs),
        "clients": options.clients,
        "runs": [found, again],
        "predict_images_a_second": [each for each, _ in rates],
        "predict_processor_ms_an_image": [each for _, each in rates],
        "ratio": mean(run["images_a_second"] for run in (found, again)) / mean(each for each, _ in rates),
        "processor_ratio": mean(each for _, each in rates)
        / mean(run["processor_ms_an_image"] for run in (found, again)),
        "stop": stop,
        "load": [started[0], os.getloadavg()[0]],
    }
    common.keep(options.out, "serve", figures)
    print(table(figures))


def table(found: Any) -> str:
    rows = [
        (
            f"{run['answers']:,} in {run['seconds']:.0f} s",
            ", ".join(f"{count:,} x {status}" for status, count in run["statuses"].items()),
            run["wrong"] + run["unanswered"],
            f"{run['images_a_second']:.0f}",
            f"{run['batch']:.1f}",
            f"{1000 * run['p50']:.0f}",
            f"{1000 * run['p99']:.0f}",
            " -> ".join(f"{value:.0f}" for value in run["memory"][:2]),
        )
        for run in found["runs"]
    ]
    headers = ("answers", "statuses", "wrong or none", "images/s", "batch", "p50 ms", "p99 ms", "memory MiB")
    predict = ", ".join(f"{value:.0f}" for value in found["predict_images_a_second"])
    stop = found["stop"]
    statuses = ", ".join(f"{count} x {status}" for status, count in stop["statuses"].items())
    return (
        f"{common.markdown(headers, rows)}\n\n`predict` at that batch: {predict} images/s; the server has "
        f"{found['ratio']:.2f} of it, and {found['processor_ratio']:.2f} by processor time an image. Stopped in load "
        f"in {stop['seconds']:.1f} s, {stop['unanswered']} requests without an answer, {statuses}. Load here: "
        f"{found['load'][0]:.1f} before, {found['load'][1]:.1f} after."
    )


if __name__ == "__main__":
    main()
