"""A server that records requests, and a kubeconfig for it: tests of credentials and of connections use both."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from pathlib import Path
from typing import Any

Headers = list[tuple[str, str]]


class RecordingServer:
    """Answers each request as the API server answers for its version and its kube-system namespace."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        requests = self.requests = list[Headers]()
        subjects = self.subjects = list[Any]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """http.server requires this name."""
                requests.append([(name.lower(), value) for name, value in self.headers.items()])
                if isinstance(self.connection, ssl.SSLSocket):
                    subjects.append((self.connection.getpeercert() or {}).get("subject"))
                body = json.dumps({"metadata": {"name": "kube-system", "uid": "u"}, "gitVersion": "v1.34.0"}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]  # a handshake that fails
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def values(self, name: str) -> list[str]:
        """The values of a header in the first request."""
        return [value for key, value in self.requests[0] if key == name]

    @property
    def authorizations(self) -> list[str | None]:
        """The header Authorization of each request; None for a request without this header."""
        return [dict(headers).get("authorization") for headers in self.requests]


def write_kubeconfig(path: Path, server: str, user: dict[str, Any], **cluster: Any) -> str:
    """Write a kubeconfig with one context, and return its path."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return str(path)
