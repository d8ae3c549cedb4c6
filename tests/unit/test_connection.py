"""Ways to connect to an API server: plugins, logins, client certificates, and the service account of a pod."""

from __future__ import annotations

import base64
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitsnap.cluster.api import kubeconfig, pem_files
from gitsnap.core.errors import ClusterUnreachableError, InputError
from tests.support.adapters import connect
from tests.support.recording_server import RecordingServer, write_kubeconfig

_EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    """A server without TLS."""
    started = RecordingServer()
    yield started
    started.close()


def _plugin(folder: Path, script: str) -> dict[str, Any]:
    (folder / "plugin.py").write_text(script)
    return {"exec": {**_EXEC, "command": sys.executable, "args": [str(folder / "plugin.py")]}}


_COUNTING = """
import json, pathlib
calls = pathlib.Path(__file__).with_name("calls")
number = len(calls.read_text()) + 1 if calls.exists() else 1
calls.write_text("x" * number)
status = {"token": f"token-{number}", "expirationTimestamp": "2020-01-01T00:00:00Z"}
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""


def test_a_plugin_returns_the_token_and_renews_it(server: RecordingServer, tmp_path: Path) -> None:
    """A token that has expired is replaced before the next request."""
    user = _plugin(tmp_path, _COUNTING)

    connect(kubeconfig=write_kubeconfig(tmp_path / "config", server.url, user)).info()

    assert server.authorizations == ["Bearer token-2", "Bearer token-3"]


def test_a_plugin_that_fails(server: RecordingServer, tmp_path: Path) -> None:
    """The message names the user and has the output of the plugin. No request is sent without credentials."""
    user = _plugin(tmp_path, "import sys; sys.exit('log in first')")

    with pytest.raises(InputError) as refused:
        connect(kubeconfig=write_kubeconfig(tmp_path / "config", server.url, user))

    assert "user u of the kubeconfig" in refused.value.message
    assert "log in first" in refused.value.message
    assert server.authorizations == []


@pytest.mark.parametrize(
    ("user", "authorization"),
    [
        ({}, None),
        ({"token": "t"}, "Bearer t"),
        ({"username": "jané", "password": "a:b"}, f"Basic {base64.b64encode('jané:a:b'.encode()).decode()}"),
        ({"username": "jane"}, None),
        ({"token": "t", "username": "jane", "password": "p"}, "Bearer t"),
    ],
)
def test_the_credentials_of_a_user(
    server: RecordingServer, tmp_path: Path, user: dict[str, Any], authorization: str | None
) -> None:
    """The header Authorization has the token or the login. A token takes precedence."""
    connect(kubeconfig=write_kubeconfig(tmp_path / "config", server.url, user)).info()

    assert set(server.authorizations) == {authorization}


def test_the_kubernetes_package_is_imported_for_plugins_only(server: RecordingServer, tmp_path: Path) -> None:
    """Importing the package takes 0.2 s, as long as a capture of a small cluster."""
    script = (
        "import sys; from gitsnap.cluster.api.kubeconfig import connect; "
        "connect(known_kinds={}, kubeconfig=sys.argv[1], context='').info(); print('kubernetes' in sys.modules)"
    )
    printed = []
    for user in ({"token": "t"}, _plugin(tmp_path, _COUNTING)):
        file = write_kubeconfig(tmp_path / "config", server.url, user)
        command = [sys.executable, "-c", script, file]
        printed.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())

    assert printed == ["False", "True"]


# TLS ------------------------------------------------------------------------------------------------------------------


class _Certificates:
    """An authority, and a certificate with a key for a server and for a client."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run("req", "-x509", *self._key("ca"), "-out", "ca.crt", "-subj", "/CN=authority", "-days", "2")
        for name in ("server", "client"):
            self._run("req", *self._key(name), "-out", f"{name}.csr", "-subj", f"/CN={name}")
            (folder / "names").write_text("subjectAltName=DNS:api.example\n")
            signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
            self._run("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signed)

    @staticmethod
    def _key(name: str) -> tuple[str, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self._folder, check=True, capture_output=True)

    def data(self, name: str) -> str:
        """The content of a file as a kubeconfig has it."""
        return base64.b64encode((self._folder / name).read_bytes()).decode()

    def path(self, name: str) -> str:
        """The path of a file."""
        return str(self._folder / name)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> _Certificates:
    """Certificates for a server with the name api.example."""
    return _Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secure(certificates: _Certificates) -> Iterator[RecordingServer]:
    """A server that requires the certificate of a client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path("server.crt"), certificates.path("server.key"))
    context.load_verify_locations(certificates.path("ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    started = RecordingServer(context)
    yield started
    started.close()


@pytest.mark.parametrize("form", ["data", "files"])
def test_certificates_of_a_kubeconfig(
    secure: RecordingServer, certificates: _Certificates, tmp_path: Path, form: str
) -> None:
    """The server is verified under the name of the kubeconfig, and the client shows its certificate."""
    suffix, value = ("-data", certificates.data) if form == "data" else ("", certificates.path)
    user = {f"client-certificate{suffix}": value("client.crt"), f"client-key{suffix}": value("client.key")}
    cluster = {f"certificate-authority{suffix}": value("ca.crt"), "tls-server-name": "api.example"}

    connect(kubeconfig=write_kubeconfig(tmp_path / "config", secure.url, user, **cluster)).info()

    assert set(secure.subjects) == {((("commonName", "client"),),)}
    for file in pem_files._written.values():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_certificate_is_written_once(certificates: _Certificates) -> None:
    """A controller that connects again uses the same file, and writes it again if somebody removed it."""
    entry = {"client-key-data": certificates.data("client.key")}

    first = pem_files.pem_file(entry, "client-key")
    again = pem_files.pem_file(entry, "client-key")
    Path(first).unlink()
    after_removal = pem_files.pem_file(entry, "client-key")

    assert first == again != after_removal
    assert Path(after_removal).read_bytes() == Path(certificates.path("client.key")).read_bytes()


@pytest.mark.parametrize(
    ("cluster", "verified"),
    [
        ({"insecure-skip-tls-verify": True}, True),
        ({"tls-server-name": "api.example"}, False),  # signed by an authority that this computer does not know
        ({"certificate-authority": "ca.crt"}, False),  # the certificate is not for 127.0.0.1
        ({"certificate-authority": "ca.crt", "tls-server-name": "other.example"}, False),
        ({"certificate-authority": "ca.crt", "tls-server-name": "api.example"}, True),
    ],
)
def test_the_server_is_verified(
    secure: RecordingServer, certificates: _Certificates, tmp_path: Path, cluster: dict[str, Any], *, verified: bool
) -> None:
    """The authority and the name of the server must match, unless the kubeconfig turns the verification off."""
    if "certificate-authority" in cluster:
        cluster = {**cluster, "certificate-authority": certificates.path("ca.crt")}
    user = {"client-certificate": certificates.path("client.crt"), "client-key": certificates.path("client.key")}
    connected = connect(kubeconfig=write_kubeconfig(tmp_path / "config", secure.url, user, **cluster))

    if verified:
        connected.info()
    else:
        with pytest.raises(ClusterUnreachableError, match="the TLS connection failed"):
            connected.info()

    assert bool(secure.authorizations) == verified


def test_a_certificate_that_does_not_exist(tmp_path: Path) -> None:
    """The message names the kubeconfig and the file."""
    with pytest.raises(InputError, match=r"config cannot be used: .*nowhere\.crt does not exist"):
        connect(
            kubeconfig=write_kubeconfig(
                tmp_path / "config", "https://127.0.0.1:1", {"client-certificate": "nowhere.crt"}
            )
        )


# The service account of a pod -----------------------------------------------------------------------------------------


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificates: _Certificates) -> Path:
    """The folder of a service account, without any kubeconfig beside it."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("pod-token\n")
    (folder / "ca.crt").write_bytes(Path(certificates.path("ca.crt")).read_bytes())
    monkeypatch.setattr(kubeconfig, "_SERVICE_ACCOUNT", folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    return folder


def test_a_pod_uses_its_service_account(
    pod: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificates: _Certificates
) -> None:
    """The token of the pod is sent to the server of the environment, which the authority of the pod verifies."""
    (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    certificates._run(
        *("x509", "-req", "-in", "server.csr", "-out", "pod.crt", "-CA", "ca.crt", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", "2", "-extfile", str(tmp_path / "names")),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path("pod.crt"), certificates.path("server.key"))
    started = RecordingServer(context)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(started.port))
    try:
        connect(kubeconfig="").info()
    finally:
        started.close()

    assert set(started.authorizations) == {"Bearer pod-token"}
    assert pod.is_dir()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("ca.crt", None, r"ca\.crt cannot be read: No such file"),
        ("ca.crt", "", r"ca\.crt is empty"),
        ("token", "", "the token file .* cannot be used: it is empty"),
        ("", "", "KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set"),
    ],
)
def test_a_service_account_that_is_damaged(
    pod: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: str | None, message: str
) -> None:
    """The message names the missing part."""
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    if not file:
        monkeypatch.delenv("KUBERNETES_SERVICE_PORT")
    elif content is None:
        (pod / file).unlink()
    else:
        (pod / file).write_text(content)

    with pytest.raises(InputError, match=message):
        connect(kubeconfig="")
