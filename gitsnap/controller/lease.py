"""The Lease that keeps two controllers from working at once: a guard, not a fence.

What really keeps samples whole is the lock of each archive. Rules: coordination.k8s.io/v1 as client-go's leader
election uses it, except that clocks of two holders are never compared: only whether the Lease still moves.
This module must not know what is guarded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from gitsnap.controller.run import Connect
from gitsnap.core.errors import ConflictError, GitsnapError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.core.ports import Cluster

LEASE = Kind("coordination.k8s.io", "Lease")
DURATION_SECONDS = 30
_RENEW_SECONDS = 8.0
_LONGEST_DURATION_SECONDS = 3600
"""Of another holder's Lease."""

_log = logging.getLogger(__name__)


class LeaseGuard:
    """Holds a Lease as long as it can; ``held`` says whether it does."""

    def __init__(
        self,
        connect: Connect,
        *,
        namespace: str,
        name: str,
        identity: str,
        on_change: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._connect = connect
        self._key = ObjectKey(LEASE, namespace, name)
        self._identity = identity
        self._on_change = on_change
        self._now = now
        self._seen: tuple[str, float] = ("", 0.0)
        """Resource version of another holder's Lease, and when it was seen first, by the monotonic clock."""
        self._holder = ""
        """The other holder that was logged last."""
        self._cluster: Cluster | None = None
        """The connection that the last look used, None after one that failed: a new one has new credentials."""
        self._renewed = float("-inf")
        self._released = False
        self.term = 0
        """Another number each time that this process takes the Lease after somebody else had it; 0 while another one
        has it, or before it was held at all."""
        self._terms = 0
        self.problem = "the lease was not looked at yet"
        """What keeps this process from taking the Lease, ``""`` where nothing does but another holder."""
        self._lock = threading.Lock()

    @property
    def held(self) -> bool:
        """Whether this process may work; it stops to be so when the Lease could not be renewed for its duration."""
        return time.monotonic() - self._renewed < DURATION_SECONDS

    def start(self) -> None:
        """Acquire and renew in a thread that ends with the process."""
        threading.Thread(target=self._forever, name="lease", daemon=True).start()

    def release(self, seconds: float) -> None:
        """Let the next one work at once. Failing that within so long, it waits for the Lease's duration."""
        self._released = True
        releasing = threading.Thread(target=self._release, name="release", daemon=True)
        releasing.start()
        releasing.join(seconds)

    def _release(self) -> None:
        with self._lock:
            if not self.held:
                return
            self._renewed = float("-inf")
            try:
                cluster = self._connect()
                lease = cluster.get(self._key)
                if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                    lease["spec"]["holderIdentity"] = ""
                    cluster.update(lease)
            except GitsnapError as error:
                _log.info("the lease could not be released: %s", error.message)

    def _forever(self) -> None:
        while True:
            before = self.held, self.term
            with self._lock:
                if self._released:
                    return
                self._attempt()
            if (self.held, self.term) != before:
                _log.info("the lease %s is %s", self._key.name, "held" if self.held else "not held any more")
                self._on_change()
            time.sleep(_RENEW_SECONDS if self.held else 2.0)

    def _attempt(self) -> None:
        try:
            self._cluster = self._cluster or self._connect()
            self._try(self._cluster)
            self.problem = ""
        except ConflictError:
            pass  # another one was faster: seen at the next look
        except GitsnapError as error:
            self._failed(error.message)
        except Exception as error:  # a thread that ends would leave the controller idle for ever
            _log.exception("a defect of gitsnap")
            self._failed(f"a defect of gitsnap: {type(error).__name__}")

    def _failed(self, problem: str) -> None:
        self._cluster = None
        problem = f"the lease cannot be renewed: {problem}"
        if problem != self.problem:
            _log.warning("%s", problem)
        self.problem = problem

    def _took(self, at: float) -> None:
        if not self.term:
            self._terms += 1
            self.term = self._terms
        self._renewed, self._holder = at, ""

    def _try(self, cluster: Cluster) -> None:
        started = time.monotonic()
        try:
            lease = cluster.get(self._key)
        except NotFoundError:
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._key.name, "namespace": self._key.namespace},
                "spec": self._spec({}),
            }
            cluster.create(lease)
            self._took(started)
            return
        spec = lease.get("spec") or {}
        if not same_json(spec.get("holderIdentity"), self._identity):
            self.term, self._renewed = 0, float("-inf")
            if spec.get("holderIdentity") and not self._expired(lease, started):
                return
        lease["spec"] = self._spec(spec)
        cluster.update(lease)
        self._took(started)

    def _expired(self, lease: JsonObject, at: float) -> bool:
        """Whether a holder's Lease has not moved for its own duration, by this process's clock alone."""
        version, holder = str(lease["metadata"]["resourceVersion"]), str(lease["spec"].get("holderIdentity"))
        if holder != self._holder:  # once: a holder renews its Lease thousands of times a day
            _log.info("waiting for the lease that %s holds", holder)
            self._holder = holder
        if version != self._seen[0]:
            self._seen = (version, at)
        return at - self._seen[1] >= _duration(lease["spec"])

    def _spec(self, before: JsonObject) -> JsonObject:
        moment = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = same_json(before.get("holderIdentity"), self._identity)
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": before.get("acquireTime") if same else moment,
            "renewTime": moment,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if same else 1),
        }


def _duration(spec: JsonObject) -> float:
    """For how long a holder may be silent; a value that makes no sense must not keep the Lease for ever."""
    seconds = spec.get("leaseDurationSeconds")
    if isinstance(seconds, int | float) and 0 < seconds <= _LONGEST_DURATION_SECONDS and seconds is not True:
        return float(seconds)
    return DURATION_SECONDS
