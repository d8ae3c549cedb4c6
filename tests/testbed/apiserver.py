"""A real kube-apiserver with a real etcd, in a folder of its own and on free loopback ports, during a test run.

Both servers end with the process that started them. The module talks to the server with the standard library alone,
so the preparation and the checks do not depend on the adapter under test. This module must not import gitsnap.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ATTEMPTS = 5
"""Number of starts. Another process may take a free port before the server binds it."""

READY_SECONDS = 60.0
USERS = 100
"""Number of test users besides the administrator. Each user serves one test."""

_TIED = Path(__file__).resolve().parent / "tied.py"


class StartError(Exception):
    """The server did not start. The message has the end of its log."""


@dataclass(frozen=True, slots=True)
class User:
    """A user with a token that the server accepts."""

    name: str
    token: str


class ApiServer:
    """A running API server. Paths are paths of the Kubernetes API, answers are parsed JSON."""

    def __init__(self, *, port: int, etcd_port: int, folder: Path, users: Sequence[User]) -> None:
        self.url = f"https://127.0.0.1:{port}"
        self.folder = folder
        self.ca = folder / "certificates" / "apiserver.crt"
        self.admin, *self._unused = users
        self._port = port
        self._etcd_port = etcd_port
        self._connection: http.client.HTTPSConnection | None = None
        self._lock = threading.Lock()
        """Some tests send requests from several threads."""

    # Requests ---------------------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: User | None = None,
        impersonate: str = "",
        content_type: str = "application/json",
    ) -> tuple[int, Any]:
        """Send a request, as the administrator unless another user is named. Return HTTP status and answer.

        ``impersonate``: the name of a user in whose place the request is made.
        """
        token = (user or self.admin).token
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        if impersonate:
            headers["Impersonate-User"] = impersonate
        content = None if body is None else json.dumps(body)
        with self._lock:
            status, text = self._exchange(method, path, content, headers)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode(errors="replace")

    def _exchange(self, method: str, path: str, content: str | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Send a request over the open connection, or over a new one if the server has closed the open connection."""
        for attempt in (1, 2):
            if self._connection is None:
                context = ssl.create_default_context(cafile=str(self.ca))
                self._connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=context, timeout=30)
            try:
                self._connection.request(method, path, content, headers)
                answer = self._connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                self.disconnect()
                if attempt == 2:
                    raise
        raise AssertionError("the loop returns or raises")

    def ask(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json") -> Any:
        """Send a request that must succeed, as the administrator. Retries while the server is not ready."""
        for _ in range(50):
            status, answer = self.request(method, path, body, content_type=content_type)
            if status != 429:  # the answer for a moment after the definition of a kind changed
                break
            time.sleep(0.2)
        assert 200 <= status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def disconnect(self) -> None:
        """Close the open connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Users ------------------------------------------------------------------------------------------------------------

    def new_user(self, *rules: Mapping[str, Sequence[str]]) -> User:
        """Return a user whose ClusterRole has these rules, such as ``{"apiGroups": [""], "resources": …, "verbs": …}``.

        Returns when the authorizer has seen the rules, which takes a moment.
        """
        user = self._unused.pop()
        if not rules:
            return user
        metadata = {"name": f"testbed-{user.name}"}
        root = "/apis/rbac.authorization.k8s.io/v1"
        role = {"kind": "ClusterRole", "name": metadata["name"], "apiGroup": "rbac.authorization.k8s.io"}
        subject = {"kind": "User", "name": user.name, "apiGroup": "rbac.authorization.k8s.io"}
        self.ask("POST", f"{root}/clusterroles", {"metadata": metadata, "rules": list(rules)})
        self.ask("POST", f"{root}/clusterrolebindings", {"metadata": metadata, "roleRef": role, "subjects": [subject]})
        _wait("the rules of a test user", lambda: all(self._allowed(user, rule) for rule in rules))
        return user

    def _allowed(self, user: User, rule: Mapping[str, Sequence[str]]) -> bool:
        attributes = {"group": rule["apiGroups"][0], "resource": rule["resources"][0], "verb": rule["verbs"][0]}
        if rule.get("resourceNames"):
            attributes["name"] = rule["resourceNames"][0]
        review = {"spec": {"user": user.name, "resourceAttributes": attributes}}
        answer = self.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    def kubeconfig(self, user: User | None = None, *, cluster: Mapping[str, Any] | None = None) -> Path:
        """Write a kubeconfig file with one context for the user. ``cluster`` overrides fields of its cluster."""
        user = user or self.admin
        settings = {"server": self.url, "certificate-authority": str(self.ca), **(cluster or {})}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testbed", "cluster": {k: v for k, v in settings.items() if v is not None}}],
            "users": [{"name": user.name, "user": {"token": user.token}}],
            "contexts": [{"name": user.name, "context": {"cluster": "testbed", "user": user.name}}],
            "current-context": user.name,
        }
        path = self.folder / f"kubeconfig-{user.name}-{secrets.token_hex(4)}"
        path.write_text(json.dumps(content))
        path.chmod(0o600)
        return path

    # Kinds ------------------------------------------------------------------------------------------------------------

    def install(self, definitions: Sequence[Mapping[str, Any]]) -> None:
        """Install CustomResourceDefinitions, and wait until the server serves all of them."""
        root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for definition in definitions:
            status, answer = self.request("POST", root, definition)
            assert status in (201, 409), f"{definition['metadata']['name']}: {status} {answer}"
        waiting = {
            f"/apis/{definition['spec']['group']}/{version['name']}/{definition['spec']['names']['plural']}?limit=1"
            for definition in definitions
            for version in definition["spec"]["versions"]
            if version["served"]
        }

        def all_served() -> bool:
            waiting.difference_update([path for path in waiting if self.request("GET", path)[0] == 200])
            return not waiting and self._all_discovered(definitions)

        _wait("the custom resources", all_served)

    def _all_discovered(self, definitions: Sequence[Mapping[str, Any]]) -> bool:
        expected = {
            (definition["spec"]["group"], version["name"], definition["spec"]["names"]["plural"])
            for definition in definitions
            for version in definition["spec"]["versions"]
            if version["served"]
        }
        discovered = set()
        for group, version in {(group, version) for group, version, _ in expected}:
            status, answer = self.request("GET", f"/apis/{group}/{version}")
            if status == 200:
                discovered |= {(group, version, resource["name"]) for resource in answer["resources"]}
        return expected <= discovered

    def install_late_kind(self) -> tuple[str, str, str]:
        """Install a new kind during the test, so that the server's cache has no earlier state of it.

        Return group, kind and plural.
        """
        number = secrets.token_hex(3)
        group, kind, plural = f"late{number}.gitsnap.test", "Late", "lates"
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        self.install(
            [
                {
                    "apiVersion": "apiextensions.k8s.io/v1",
                    "kind": "CustomResourceDefinition",
                    "metadata": {"name": f"{plural}.{group}"},
                    "spec": {
                        "group": group,
                        "scope": "Namespaced",
                        "names": {"kind": kind, "listKind": "LateList", "plural": plural, "singular": "late"},
                        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
                    },
                }
            ]
        )
        return group, kind, plural

    # etcd -------------------------------------------------------------------------------------------------------------

    def compact(self, revision: str) -> None:
        """Make etcd drop every revision before this one, as a real cluster does every few minutes."""
        connection = http.client.HTTPConnection("127.0.0.1", self._etcd_port, timeout=30)
        try:
            connection.request("POST", "/v3/kv/compaction", json.dumps({"revision": revision, "physical": True}))
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
        finally:
            connection.close()


@contextlib.contextmanager
def running(binaries: Path, folder: Path, *, flags: Sequence[str] = ()) -> Iterator[ApiServer]:
    """Run a new API server with additional flags. Stop it and remove its data at the end. Raises StartError."""
    for attempt in range(1, ATTEMPTS + 1):
        with contextlib.ExitStack() as stack:
            try:
                server = _start(binaries, folder / f"attempt-{attempt}", flags, stack)
            except StartError:
                if attempt == ATTEMPTS:
                    raise
                continue
            stack.callback(server.disconnect)
            yield server
            return


def _start(binaries: Path, folder: Path, flags: Sequence[str], stack: contextlib.ExitStack) -> ApiServer:
    folder.mkdir(parents=True, mode=0o700)
    etcd_port, port = _free_ports(2)
    data = folder / "etcd"
    stack.callback(shutil.rmtree, data, ignore_errors=True)
    etcd = _spawn(
        stack,
        folder / "etcd.log",
        str(binaries / "etcd"),
        f"--data-dir={data}",
        f"--listen-client-urls=http://127.0.0.1:{etcd_port}",
        f"--advertise-client-urls=http://127.0.0.1:{etcd_port}",
        "--listen-peer-urls=http://127.0.0.1:0",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )
    users = [User("admin", secrets.token_hex(16))]
    users += [User(f"user-{number:02}", secrets.token_hex(16)) for number in range(USERS)]
    tokens = folder / "tokens.csv"
    tokens.write_text(
        "".join(f'{u.token},{u.name},{u.name},"{"system:masters" if u.name == "admin" else ""}"\n' for u in users)
    )
    key = folder / "service-account.key"
    key.write_text(_elliptic_curve_key())
    api = _spawn(
        stack,
        folder / "kube-apiserver.log",
        str(binaries / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://testbed.invalid",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
        "--service-cluster-ip-range=10.0.0.0/24",
        *flags,
    )
    server = ApiServer(port=port, etcd_port=etcd_port, folder=folder, users=users)

    def ready() -> bool:
        for process, name in ((etcd, "etcd"), (api, "kube-apiserver")):
            if process.poll() is not None:
                log = (folder / f"{name}.log").read_text(errors="replace")
                raise StartError(f"{name} ended with {process.returncode}:\n{log[-3000:]}")
        # Certificate and token belong to this server: another server on the same port would not answer 200.
        return all(_answers(server, path) for path in ("/readyz", "/api/v1/namespaces/kube-system"))

    _wait("kube-apiserver", ready)
    return server


def _answers(server: ApiServer, path: str) -> bool:
    try:
        return server.request("GET", path)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def _spawn(stack: contextlib.ExitStack, log: Path, *command: str) -> subprocess.Popen[bytes]:
    """Start a program that ends with this process or with the stack, whichever ends first."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_TIED), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
        )
    stack.callback(process.wait)
    stack.callback(process.kill)  # the data is removed, so no orderly shutdown is needed
    return process


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in sockets]


def _elliptic_curve_key() -> str:
    """Return a new P-256 private key in SEC 1 form (RFC 5915). Go computes the public key, which the form may omit."""
    scalar = secrets.token_bytes(31).rjust(32, b"\1")  # below the order of the group, which begins with ff ff ff ff
    curve = bytes.fromhex("06082a8648ce3d030107")
    content = b"\x02\x01\x01" + b"\x04\x20" + scalar + b"\xa0" + bytes([len(curve)]) + curve
    encoded = base64.encodebytes(b"\x30" + bytes([len(content)]) + content).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{encoded}-----END EC PRIVATE KEY-----\n"


def _wait(what: str, condition: Any, *, seconds: float = READY_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StartError(f"{what}: not ready after {seconds:.0f} s")
        time.sleep(0.05)
