"""Limits of what a Snapshot may request, since the authors of Snapshots need not be the operators of the controller.

The admission policy of the manifests checks what the author of a Snapshot may read. The checks here do not depend on
that policy. Each refusal names the field, and the flag of the controller that permits it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitsnap.archive import is_own_folder
from gitsnap.core.errors import NotPermittedError
from gitsnap.core.model import SecretsMode
from gitsnap.policy.snapshot import Policy
from gitsnap.secrets.age import KEYS_FOLDER
from gitsnap.sveltos.kinds import SECRET

_LOCAL = re.compile(r"file://|/")
_UNPROTECTED = re.compile(r"(?:http|git)://")
_GIT_FOLDER = ".git"


@dataclass(frozen=True, slots=True)
class Permissions:
    """Requests that only the flags of the controller permit."""

    namespace: str = "gitsnap"
    """The namespace of the controller. A Snapshot may always name Secrets in it."""
    secrets_from: tuple[str, ...] = ()
    """Further namespaces whose Secrets a Snapshot may name (``--allow-secrets-from``)."""
    secret_resources: bool = False
    """Whether ``spec.resources`` may add Secrets (``--allow-secret-resources``)."""
    plaintext: bool = False
    """Whether Secrets may be kept in plain text (``--allow-plaintext``)."""
    insecure_push: bool = False
    """Whether a push may go to http:// or git:// (``--allow-insecure-push``)."""
    local_push: bool = False
    """Whether a push may go to a folder of the controller's file system (``--allow-local-push``)."""

    def check(self, policy: Policy, storage: Path) -> None:
        """Check a policy. Raises NotPermittedError that names every field which the flags do not permit.

        ``storage`` is the folder of the controller; every archive must be in it or below it.
        """
        problems = [*self._secret_references(policy), *self._scope(policy), *self._push(policy)]
        problems += _storage(policy, storage)
        if problems:
            listed = "\n".join(f"  {problem}" for problem in problems)
            raise NotPermittedError(
                f"Snapshot {policy.name} asks for settings that this controller does not permit:\n{listed}"
            )

    def _secret_references(self, policy: Policy) -> Iterator[str]:
        references = (
            ("spec.push.secretRef", policy.push.secret if policy.push is not None else ""),
            ("spec.secrets.secretRef", policy.secrets_secret),
            ("spec.signing.secretRef", policy.signing_secret),
        )
        for field, reference in references:
            namespace = reference.partition("/")[0]
            if reference and namespace != self.namespace and namespace not in self.secrets_from:
                yield (
                    f"{field}.namespace: Secrets are read from the namespace {self.namespace} only; "
                    f"--allow-secrets-from {namespace} permits this one"
                )

    def _scope(self, policy: Policy) -> Iterator[str]:
        if not self.secret_resources and any(selector.kind == SECRET for selector in policy.resources):
            yield (
                "spec.resources: Secrets that nothing refers to are not captured; --allow-secret-resources permits it"
            )
        if not self.plaintext and policy.secrets_set and policy.secrets_mode is SecretsMode.PLAINTEXT:
            yield "spec.secrets.mode: Secrets are not kept in plaintext; --allow-plaintext permits it"

    def _push(self, policy: Policy) -> Iterator[str]:
        url = policy.push.url if policy.push is not None else ""
        if _LOCAL.match(url) and not self.local_push:
            yield (
                "spec.push.url: a push goes to a server (https:// or ssh://), not to a folder of the controller's pod; "
                "--allow-local-push permits it"
            )
        if _UNPROTECTED.match(url) and not self.insecure_push:
            yield (
                "spec.push.url: a push goes by https:// or ssh://, since others can read and change data sent by "
                "http:// or git://; --allow-insecure-push permits it"
            )


def _storage(policy: Policy, root: Path) -> Iterator[str]:
    """Problems of the archive's folder. Symbolic links are resolved, so that none leads out of the storage."""
    try:
        root = root.resolve()
        folder = Path(policy.storage or root).resolve()
        archive = (folder / policy.name).resolve()
        if folder.is_symlink():
            yield "spec.storage: its symbolic links form a loop"
        elif not folder.is_relative_to(root):
            yield f"spec.storage: archives are in {root} or below it (--storage of the controller)"
        elif archive != folder / policy.name:
            yield f"spec.storage: {policy.name} in it is a symbolic link"
        elif not is_own_folder(archive):
            yield f"spec.storage: {policy.name}/.git in it leads to another repository"
        elif problem := _inside(folder, root):
            yield f"spec.storage: {problem}"
    except (OSError, RuntimeError):  # Python before 3.13 raises for a loop of links
        yield "spec.storage: its symbolic links cannot be followed"


def _inside(folder: Path, root: Path) -> str:
    """Why a folder must not hold archives: it is part of another archive, or of the keys; ``""`` if it may."""
    for path in (folder, *folder.parents):
        if path == root:
            break
        if path.name.lower() in (_GIT_FOLDER, KEYS_FOLDER):  # a file system may not tell .GIT from .git
            return f"no archive may be in the folder {path.name}"
        if (path / _GIT_FOLDER).exists() or ((path / "HEAD").is_file() and (path / "objects").is_dir()):
            return f"{path} is an archive itself, and no archive may be inside another"
    return ""
