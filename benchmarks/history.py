"""Measures commands on an archive with a long history; prints CPU seconds of whole processes, the best of three.

    python benchmarks/history.py [SAMPLES [OBJECTS]]      default: 20000 5000

`git fast-import` creates the archive, in which each sample changes three ConfigMaps. The archive is then packed as by
gitsnap's maintenance. The row start-up is the time of `gitsnap list --help`, which is part of the time of every
command. The push goes to a bare repository on the same disk. The tags name neither their content nor each other, so
`verify` finds all samples wrong; it does the same work as for an intact archive.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gitsnap.archive import create_archive
from gitsnap.core.model import (
    ChangeCounts,
    ObjectKey,
    SampleMetadata,
    SecretsInfo,
    SecretsMode,
    TagId,
    TreeInfo,
    Trigger,
)
from gitsnap.format import encode, path_of, tag_message, tag_name, tree_info_to_bytes
from gitsnap.sveltos.kinds import CAPTURED_KINDS, CONFIG_MAP, SECRET
from gitsnap.sveltos.normalize import RULES

_CHANGES = 3
_START = datetime(2020, 1, 1, tzinfo=UTC)
_STEP = timedelta(hours=1)
_POLICY = "hourly"
_WRONG = 5
"""The exit code of `verify` with a finding."""


def main() -> None:
    """Create the archive and run the commands."""
    numbers = [int(argument) for argument in sys.argv[1:]]
    samples, objects = (*numbers, *(20_000, 5_000)[len(numbers) :])
    folder = Path(tempfile.mkdtemp(prefix="gitsnap-history-"))
    try:
        started = time.perf_counter()
        make_archive(folder, samples, objects)
        git(folder, "config", "extensions.preciousObjects", "false")
        git(folder, "gc", "--quiet")
        git(folder, "commit-graph", "write", "--reachable", "--changed-paths", "--split=replace", "--no-progress")
        print(f"{samples} samples of {objects} objects, created in {time.perf_counter() - started:.0f} s")
        print(f"archive: {_size(folder / _POLICY / '.git') / 1e6:.0f} MB")
        run_commands(folder, samples)
    finally:
        shutil.rmtree(folder)


def make_archive(storage: Path, samples: int, objects: int) -> None:
    """Create an archive with this many samples. The working tree stays empty."""
    create_archive(storage, _POLICY)
    command = ["git", "-C", str(storage / _POLICY), "fast-import", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        if process.stdin is not None:
            process.stdin.writelines(_stream(samples, objects))
    if process.returncode:
        raise SystemExit("git fast-import failed")
    git(storage, "pack-refs", "--all")


def _stream(samples: int, objects: int) -> Iterator[bytes]:
    kinds = tuple(sorted(CAPTURED_KINDS - {SECRET}))
    info = TreeInfo(_POLICY, _POLICY, kinds, SecretsInfo(SecretsMode.OMIT), rules=RULES)
    for number in range(samples):
        moment = _START + number * _STEP
        seconds = int(moment.timestamp())
        first = number * _CHANGES
        changed = range(objects) if number == 0 else [index % objects for index in range(first, first + _CHANGES)]
        subject = f"{_POLICY}: {len(changed)} ConfigMaps modified\n\nGitsnap-Format: 1\n"
        yield f"commit refs/heads/{_POLICY}\nmark :{number + 1}\n".encode()
        yield f"author gitsnap <gitsnap@localhost> {seconds} +0000\n".encode()
        yield f"committer gitsnap <gitsnap@localhost> {seconds} +0000\n".encode() + _data(subject.encode())
        if number == 0:
            yield b"M 100644 inline gitsnap.yaml\n" + _data(tree_info_to_bytes(info))
        for index in changed:
            key = ObjectKey(CONFIG_MAP, f"team-{index % 20}", f"map-{index}")
            yield f"M 100644 inline configuration/{path_of(key)}\n".encode() + _data(_config_map(key, number))
        yield b"\n"
        metadata = SampleMetadata(
            policy=_POLICY,
            time=moment,
            sequence=number + 1,
            trigger=Trigger.SCHEDULE,
            cluster="c0ffee00-0000-4000-8000-000000000000",
            objects=objects,
            content_sha256=f"{number:064x}",
            previous=TagId(f"{number:040x}") if number else None,
            changes=ChangeCounts(modified=len(changed)),
        )
        yield f"tag {tag_name(_POLICY, moment)}\nfrom :{number + 1}\n".encode()
        yield f"tagger gitsnap <gitsnap@localhost> {seconds} +0000\n".encode() + _data(tag_message(metadata).encode())


def _config_map(key: ObjectKey, number: int) -> bytes:
    metadata = {"name": key.name, "namespace": key.namespace}
    data = {"number": str(number), "text": f"{key.name}\n" * 20}
    return encode({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def run_commands(storage: Path, samples: int) -> None:
    """Run each command and print its time."""
    middle = (_START + samples // 2 * _STEP).strftime("%Y-%m-%dT%H:%MZ")
    commands = {
        "start-up": ["list", "--help"],
        "list": ["list"],
        "diff of the newest two": ["diff"],
        "diff of three samples": ["diff", "--from-sample", "latest~3"],
        "diff of the first and the last": ["diff", "--from-sample", f"latest~{samples - 1}"],
        "show an object at a time": ["show", "ConfigMap/team-1/map-1", "--sample", f"@{middle}"],
        "log of one object": ["log", "ConfigMap/team-1/map-1"],
        "search for a value": ["search", "18333"],
        "blame of one object": ["blame", "ConfigMap/team-1/map-1"],
        "verify since ten samples ago": ["verify", "--since", _tag_id(storage, samples - 10)],
    }
    for name, arguments in commands.items():
        print(f"{name:32} {min(_seconds(storage, arguments) for _ in range(3)):6.2f} s")
    remote = storage / "remote.git"
    git(storage, "clone", "--quiet", "--bare", ".", str(remote))
    dump = storage / "dump"
    dump.mkdir()
    (dump / "namespace.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n")
    capture = ["capture", "--from-dir", str(dump), "--secrets-mode", "omit", "--adopt"]
    print(f"{'capture of another cluster':32} {_seconds(storage, capture):6.2f} s")
    print(f"{'push of that sample':32} {_seconds(storage, ['push', '--to', str(remote)]):6.2f} s")
    started = _cpu_seconds_of_children()
    git(storage, "ls-remote", "--quiet", str(remote))
    print(f"{'floor of a push: git ls-remote':32} {_cpu_seconds_of_children() - started:6.2f} s")


def _seconds(storage: Path, arguments: list[str]) -> float:
    command = [sys.executable, "-m", "gitsnap", *arguments]
    if "--help" not in arguments:
        command += ["--storage", str(storage), "--snapshot", _POLICY]
    started = _cpu_seconds_of_children()
    done = subprocess.run(command, check=False, env=dict(os.environ), stdout=subprocess.DEVNULL)
    if done.returncode not in (0, _WRONG if "verify" in arguments else 0):
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}")
    return _cpu_seconds_of_children() - started


def _cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tag_id(storage: Path, number: int) -> str:
    """The id of the tag of a sample. ``number``: from 1 on."""
    tag = tag_name(_POLICY, _START + (number - 1) * _STEP)
    command = ["git", "-C", storage / _POLICY, "rev-parse", f"refs/tags/{tag}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def git(storage: Path, *arguments: str) -> None:
    """Run git in the archive."""
    subprocess.run(["git", "-C", storage / _POLICY, *arguments], check=True, stdout=subprocess.DEVNULL)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
