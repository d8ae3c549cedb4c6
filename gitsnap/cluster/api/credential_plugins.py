"""Credentials from a program or an auth provider that a kubeconfig names, obtained by the kubernetes package.

Import this module only if a user has such credentials, because importing the kubernetes package takes 0.2 s.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from gitsnap.cluster.api.connection import ConnectionSettings
from gitsnap.cluster.api.credentials import RenewalError
from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject


def load(settings: ConnectionSettings, cluster: JsonObject, user: JsonObject, *, name: str, kubeconfig: str) -> None:
    """Run the plugin of a user, and add the token or the certificate to the settings.

    ``name`` of the user and ``kubeconfig`` are for messages. Raises InputError.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "context",
        "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": "user"}}],
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
    }
    loaded = client.Configuration()
    try:
        with _logged_errors() as errors:
            config.load_kube_config_from_dict(document, client_configuration=loaded, persist_config=False)
    except ConfigException as error:
        raise InputError(f"the kubeconfig {kubeconfig} cannot be used: {error}") from None
    if errors:
        raise InputError(
            f"the credentials of the user {name} of the kubeconfig cannot be obtained: {'; '.join(errors)}",
            hint="The kubeconfig names a program for them, which must work in this shell. "
            "Does `kubectl get namespaces` work with the same context?",
        )
    settings.certificate_file, settings.key_file = loaded.cert_file or "", loaded.key_file or ""
    settings.authorization = lambda: _authorization(loaded)


def _authorization(loaded: client.Configuration) -> str:
    """Return the header Authorization. An expired token is renewed. Raises RenewalError."""
    try:
        return loaded.get_api_key_with_prefix("BearerToken") or ""
    except ConfigException as error:
        raise RenewalError(str(error)) from None


class _Collector(logging.Handler):
    """Collects the messages of errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """Collect the errors that the package logs. If a plugin fails, the package continues without credentials."""
    collector = _Collector()
    root = logging.getLogger()
    root.addHandler(collector)
    try:
        yield collector.messages
    finally:
        root.removeHandler(collector)
