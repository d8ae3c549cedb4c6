"""The command behind scripts/release."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from filecmp import cmp
from pathlib import Path

from scripts.packaging.build import Build, BuildError, sizes, source_date, source_version
from scripts.packaging.check import check_release
from scripts.packaging.checksums import release_files, write_checksums
from scripts.packaging.image import build_image
from scripts.packaging.krew import write_krew_manifest
from scripts.packaging.manifests import build_chart, build_manifests
from scripts.packaging.manual import write_manual
from scripts.packaging.python_packages import build_python_packages
from scripts.packaging.sbom import write_sbom
from scripts.packaging.standalone import build_standalone

PARTS = ("python", "manual", "standalone", "manifests", "chart", "image", "image-arm64")


def main(arguments: Sequence[str]) -> int:
    """Build the parts that are named, or all parts. Returns 1 if a part cannot be built or a check fails."""
    options = _parser().parse_args(arguments)
    parts = options.parts or PARTS
    try:
        build = Build(source_version(), source_date(), options.output.resolve(), Path())
        files, failures = _build_parts(build, parts, options.base_url)
        if options.check:
            _check_equal(build, parts, options.base_url, files)
            print("\n".join(check_release(build, files)), flush=True)
        if files:
            print(sizes([*files, *write_checksums(build, release_files(build), options.sign)]))
    except BuildError as error:
        print(f"scripts/release: {error}", file=sys.stderr)
        return 1
    return 1 if failures else 0


def _build_parts(build: Build, parts: Sequence[str], base_url: str) -> tuple[list[Path], int]:
    """Build parts one after the other. Returns the files, and the number of parts that could not be built."""
    files: list[Path] = []
    failures = 0
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="gitsnap-release-") as work:
            print(f"== {part}", flush=True)
            try:
                files += _build_part(replace(build, work=Path(work)), part, base_url)
            except BuildError as error:
                failures += 1
                print(f"scripts/release: {part} is not built: {error}", file=sys.stderr, flush=True)
    return files, failures


def _check_equal(build: Build, parts: Sequence[str], base_url: str, files: Sequence[Path]) -> None:
    """Build the parts again. Raises BuildError if a file has other bytes than the first time."""
    with tempfile.TemporaryDirectory(prefix="gitsnap-release-") as output:
        again, _ = _build_parts(replace(build, output=Path(output)), parts, base_url)
        if [path.name for path in again] != [path.name for path in files]:
            raise BuildError("the second build has other files than the first")
        different = [
            path.name for path, second in zip(files, again, strict=True) if not cmp(path, second, shallow=False)
        ]
    if different:
        raise BuildError(f"built twice, these files differ: {', '.join(different)}")
    print(f"built twice: {len(files)} files, the same bytes", flush=True)


def _build_part(build: Build, part: str, base_url: str) -> list[Path]:
    """Build one part and return its files. Raises BuildError."""
    if part == "python":
        return build_python_packages(build)
    if part == "manual":
        return write_manual(build)
    if part == "manifests":
        return build_manifests(build)
    if part == "chart":
        return build_chart(build)
    if part.startswith("image"):
        platform = replace(build, architecture="arm64") if part == "image-arm64" else build
        image = build_image(platform)
        return [image, write_sbom(platform, image)]
    archive = build_standalone(build)
    if not base_url:
        print("no krew manifest: it names the address of the archive (--base-url https://…)")
        return [archive]
    return [archive, write_krew_manifest(build, archive, base_url)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/release",
        description="Build what gitsnap is installed from. The same commit gives the same bytes.",
    )
    parser.add_argument(
        "parts",
        nargs="*",
        choices=[*PARTS, []],
        help=f"parts to build: {', '.join(PARTS)}. Default: all. image is for the platform of this machine.",
    )
    parser.add_argument("--output", type=Path, default=Path("dist"), help="folder for the files. Default: dist.")
    parser.add_argument(
        "--base-url", default="", help="https address below which people download these files; for krew."
    )
    parser.add_argument("--check", action="store_true", help="build twice, compare the bytes, and run each file.")
    parser.add_argument("--sign", default="", metavar="KEY", help="private key of ssh or cosign that signs SHA256SUMS.")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
