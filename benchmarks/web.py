"""Measures `gitsnap web`: the time of each kind of page, the memory of the server, and a hundred readers at once.

    python benchmarks/web.py STORAGE [--seconds 20] [--readers 100]

STORAGE has archives, such as the one of 20,000 samples that benchmarks/history.py makes. Every page is asked for with
another sample, object or word each time, so that no answer comes from the cache, and once more, so that it does. CPU is
the time of the server and of the git programs that it runs: unlike the time of an answer, it hardly depends on the
other work of the machine. A reader asks for a page, reads for a second on average, and asks for the next one. Nine of
ten pages are among two hundred that were read before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gitsnap.archive import list_archives
from gitsnap.history.samples import list_objects
from gitsnap.render.web.addresses import object_address, state_name

_EACH = 40
"""The number of pages of each kind that are asked for one after the other."""


@contextmanager
def _server(storage: Path) -> Iterator[tuple[int, int]]:
    """Start the server. Yields its process id and its port."""
    command = [sys.executable, "-m", "gitsnap", "web", "--storage", str(storage), "--listen", "127.0.0.1:0", "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        text = ""
        while not (match := re.search(r"http://127\.0\.0\.1:(\d+)/", text)):
            text += process.stderr.readline() if process.stderr else ""
        yield process.pid, int(match[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _pages(storage: Path, chance: random.Random) -> dict[str, Callable[[], str]]:
    """Return functions that give the address of a page of each kind, another one each time."""
    archive = list_archives(storage)[0]
    name, samples = archive.policy, archive.samples()
    objects = [held.key for held in list_objects(archive.tree(samples[-1]))]

    def sample(least: int = 0) -> int:
        return chance.randrange(least, len(samples))

    def diff() -> str:
        number = sample(1)
        return f"/{name}/diff/{state_name(samples[number - 1])}/{state_name(samples[number])}"

    def far_diff() -> str:
        number = sample(60)
        return f"/{name}/diff/{state_name(samples[number - 50])}/{state_name(samples[number])}"

    return {
        "overview": lambda: f"/?n={chance.random()}",
        "timeline": lambda: f"/{name}?before={state_name(samples[sample(100)])}",
        "sample": lambda: f"/{name}/sample/{state_name(samples[sample()])}?q=map-1{chance.randrange(10)}",
        "diff": diff,
        "diff of 50 samples": far_diff,
        "rollback": lambda: f"/{name}/rollback/{state_name(samples[-chance.randrange(2, 60)])}",
        "object": lambda: object_address(name, chance.choice(objects)),
        "object history": lambda: object_address(name, chance.choice(objects), "log"),
        "object blame": lambda: object_address(name, chance.choice(objects), "blame"),
        "clusters": lambda: f"/{name}/clusters?q={chance.random()}",
        "search": lambda: f"/{name}/search?q=no-{chance.randrange(10**9)}",
    }


async def _get(port: int, path: str) -> float:
    """Return the seconds until the whole answer is there."""
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    if answer[9:12] != b"200":
        raise RuntimeError(f"{path}: {answer[:200]!r}")
    return time.perf_counter() - started


def _percentile(times: list[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


def _cpu(process: int) -> float:
    """Return the CPU seconds of the server and of its ended children so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _memory(process: int) -> int:
    """Return the largest resident size so far, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024  # type: ignore[index]


async def _measure(
    port: int, process: int, pages: dict[str, Callable[[], str]], *, readers: int, seconds: float
) -> dict:
    """Ask for pages, and print a line for each kind."""
    results = {}
    await _get(port, "/")
    for kind, make in pages.items():
        paths = [make() for _ in range(_EACH)]
        before = _cpu(process)
        first = [await _get(port, path) for path in paths]
        cpu = (_cpu(process) - before) / _EACH * 1000
        cached = [await _get(port, path) for path in paths]
        results[kind] = [cpu, *(_percentile(*some) for some in ((first, 0.5), (first, 0.99), (cached, 0.99)))]
        numbers = [round(number) for number in results[kind]]
        print("{:20} {:5} ms CPU, {:5} ms median, {:5} ms p99; again {:3} ms p99".format(kind, *numbers))
    times: dict[str, list[float]] = defaultdict(list)
    chance = random.Random(2)  # noqa: S311 - the same pages each time
    weights = {"timeline": 6, "sample": 4, "diff": 6, "object": 4, "overview": 2, "object history": 1, "search": 1}
    popular = {kind: [pages[kind]() for _ in range(30)] for kind in weights}
    for path in (path for paths in popular.values() for path in paths):
        await _get(port, path)
    cpu, end = _cpu(process), time.perf_counter() + seconds

    async def read() -> None:
        await asyncio.sleep(chance.random())
        while time.perf_counter() < end:
            kind = chance.choices(list(weights), list(weights.values()))[0]
            path = chance.choice(popular[kind]) if chance.random() < 0.9 else pages[kind]()
            times[kind].append(await _get(port, path))
            await asyncio.sleep(chance.expovariate(1))

    await asyncio.gather(*(read() for _ in range(readers)))
    together = [duration for some in times.values() for duration in some]
    cpu = (_cpu(process) - cpu) / len(together) * 1000
    results["readers"] = [cpu, _percentile(together, 0.5), _percentile(together, 0.99)]
    numbers = "{:.1f} ms CPU each, {:.0f} ms median, {:.0f} ms p99".format(*results["readers"])
    print(f"{readers} readers, {len(together)} pages in {seconds:.0f} s: {numbers}")
    for kind, some in sorted(times.items()):
        print(f"  {kind:20} {len(some):5} pages, {_percentile(some, 0.99):5.0f} ms p99")
    results["MiB"] = [_memory(process)]
    print(f"memory: {results['MiB'][0]} MiB at most")
    return results


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("storage", type=Path)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--readers", type=int, default=100)
    parser.add_argument("--json", type=Path, help="Write the results to a file.")
    chosen = parser.parse_args()
    pages = _pages(chosen.storage, random.Random(1))  # noqa: S311 - the same pages each time
    with _server(chosen.storage) as (process, port):
        results = asyncio.run(_measure(port, process, pages, readers=chosen.readers, seconds=chosen.seconds))
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
