"""Measures commands on an archive with a long history; prints CPU seconds of whole processes, the best of three.

    python benchmarks/history.py [SAMPLES [OBJECTS]]      default: 20000 5000

`git fast-import` creates the archive, in which each sample changes three ConfigMaps. The archive is then packed as by
gitsnap's maintenance. The row start-up is the time of `gitsnap list --help`, which is part of the time of every
command. The push goes to a bare repository on the same disk. The archive is intact: `verify` finds nothing wrong.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

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
_RUNS = 3


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
    answers, answer = os.pipe()
    command = ["git", "-C", str(storage / _POLICY), "fast-import", "--quiet", f"--cat-blob-fd={answer}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[answer]) as process, os.fdopen(answers) as lines:
        os.close(answer)
        if process.stdin is not None:
            _write(process.stdin, lines, samples, objects)
    if process.returncode:
        raise SystemExit("git fast-import failed")
    git(storage, "pack-refs", "--all")


def _write(stream: IO[bytes], answers: IO[str], samples: int, objects: int) -> None:
    """Write the input of fast-import. ``answers``: the ids of the commits, for which the stream asks."""
    kinds = tuple(sorted(CAPTURED_KINDS - {SECRET}))
    info = tree_info_to_bytes(TreeInfo(_POLICY, _POLICY, kinds, SecretsInfo(SecretsMode.OMIT), rules=RULES))
    previous: TagId | None = None
    lines = {b"gitsnap.yaml": _digest_line(b"gitsnap.yaml", info)}
    order: list[bytes] = []
    for number in range(samples):
        moment = _START + number * _STEP
        seconds = int(moment.timestamp())
        person = b"gitsnap <gitsnap@localhost> %d +0000\n" % seconds
        first = number * _CHANGES
        changed = range(objects) if number == 0 else [index % objects for index in range(first, first + _CHANGES)]
        subject = f"{_POLICY}: {len(changed)} ConfigMaps modified\n\nGitsnap-Format: 1\n"
        stream.write(f"commit refs/heads/{_POLICY}\nmark :{number + 1}\n".encode())
        stream.write(b"author " + person + b"committer " + person + _data(subject.encode()))
        if number == 0:
            stream.write(b"M 100644 inline gitsnap.yaml\n" + _data(info))
        for index in changed:
            key = ObjectKey(CONFIG_MAP, f"team-{index % 20}", f"map-{index}")
            path, content = f"configuration/{path_of(key)}".encode(), _config_map(key, number)
            lines[path] = _digest_line(path, content)
            stream.write(b"M 100644 inline " + path + b"\n" + _data(content))
        stream.write(b"\nget-mark :%d\n" % (number + 1))
        stream.flush()
        order = order or sorted(lines)
        metadata = SampleMetadata(
            policy=_POLICY,
            time=moment,
            sequence=number + 1,
            trigger=Trigger.SCHEDULE,
            cluster="c0ffee00-0000-4000-8000-000000000000",
            objects=objects,
            content_sha256=hashlib.sha256(b"".join([lines[path] for path in order])).hexdigest(),
            previous=previous,
            changes=ChangeCounts(modified=len(changed)),
        )
        tag, message = tag_name(_POLICY, moment), tag_message(metadata).encode()
        stream.write(f"tag {tag}\nfrom :{number + 1}\n".encode() + b"tagger " + person + _data(message))
        header = f"object {answers.readline().strip()}\ntype commit\ntag {tag}\n".encode()
        content = header + b"tagger " + person + b"\n" + message
        previous = TagId(hashlib.sha1(b"tag %d\0" % len(content) + content, usedforsecurity=False).hexdigest())


def _digest_line(path: bytes, content: bytes) -> bytes:
    """The line of a file in the Content-SHA256 (docs/FORMAT.md)."""
    return path + b"\0" + hashlib.sha256(content).hexdigest().encode() + b"\n"


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
        "verify": ["verify"],
        "verify since ten samples ago": ["verify", "--since", _tag_id(storage, samples - 10)],
    }
    for name, arguments in commands.items():
        runs = 1 if name == "verify" else _RUNS
        print(f"{name:32} {min(_seconds(storage, arguments) for _ in range(runs)):6.2f} s")
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
    if done.returncode:
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
