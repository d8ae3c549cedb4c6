"""The Lease that keeps two controllers from working at the same time.

The Lease avoids double work. It does not protect archives, which have locks of their own. Rules: coordination.k8s.io/v1
as used by the leader election of client-go. The clocks of two holders are never compared: a Lease has expired when its
resource version has not changed for its duration.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from gitsnap.controller.clock import Instant
from gitsnap.controller.run import Connect
from gitsnap.core.errors import ConflictError, GitsnapError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.core.ports import Cluster

LEASE = Kind("coordination.k8s.io", "Lease")
DURATION_SECONDS = 30
"""How long the Lease is valid without a renewal."""

_RENEW_SECONDS = 8.0
_RETRY_SECONDS = 2.0
_LONGEST_DURATION_SECONDS = 3600
"""A longer duration in the Lease of another holder is ignored."""

_NEVER = float("-inf")

_log = logging.getLogger(__name__)


class LeaseGuard:
    """Takes a Lease and renews it."""

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
        """``on_change`` is called from the thread of the Lease when the Lease is taken or lost."""
        self._connect = connect
        self._key = ObjectKey(LEASE, namespace, name)
        self._identity = identity
        self._on_change = on_change
        self._now = now
        self._observed: tuple[str, float] = ("", 0.0)
        """Resource version of another holder's Lease, and the monotonic time at which it was first seen."""
        self._holder = ""
        """The other holder that was logged last."""
        self._cluster: Cluster | None = None
        """The connection of the last step; None after a failed step, since a new connection renews the credentials."""
        self._renewed = _NEVER
        """Monotonic time of the last renewal."""
        self._released = False
        self._terms = 0
        self._announced = (False, 0)
        """Whether the Lease was held, and in which term, when ``on_change`` was called last."""
        self._lock = threading.Lock()
        self.term = 0
        """The number of the term, which grows each time that this process takes the Lease from another holder; 0 while
        another process holds the Lease, and before this process first held it."""
        self.problem = "the lease was not requested yet"
        """Why this process cannot take the Lease; ``""`` where only another holder prevents it."""

    def held(self, monotonic: float) -> bool:
        """Whether this process may work at a monotonic time: the last renewal is younger than the duration."""
        return monotonic - self._renewed < DURATION_SECONDS

    def start(self) -> None:
        """Take and renew the Lease in a thread that ends with the process."""
        threading.Thread(target=self._forever, name="lease", daemon=True).start()

    def step(self, now: Instant) -> float:
        """Take or renew the Lease once. Returns the seconds until the next step.

        Raises no error: errors are logged and kept in ``problem``.
        """
        try:
            self._cluster = self._cluster or self._connect()
            self._take_or_renew(self._cluster, now)
            self.problem = ""
        except ConflictError:
            pass  # another process was faster: the next step reads its Lease
        except GitsnapError as error:
            self._fail(error.message)
        except Exception as error:  # without this thread the controller would be idle forever
            _log.exception("a defect of gitsnap")
            self._fail(f"a defect of gitsnap: {type(error).__name__}")
        held = self.held(now.monotonic)
        if (held, self.term) != self._announced:
            self._announced = held, self.term
            _log.info("the lease %s is %s", self._key.name, "held" if held else "no longer held")
            self._on_change()
        return _RENEW_SECONDS if held else _RETRY_SECONDS

    def release(self, seconds: float) -> None:
        """Release the Lease, so that another process can take it at once.

        Waits at most ``seconds``. If the release fails, the Lease expires after its duration.
        """
        self._released = True
        releasing = threading.Thread(target=self._release, name="release", daemon=True)
        releasing.start()
        releasing.join(seconds)

    def _release(self) -> None:
        with self._lock:
            if not self.held(time.monotonic()):
                return
            self._renewed = _NEVER
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
            with self._lock:
                if self._released:
                    return
                pause = self.step(Instant.read(self._now))
            time.sleep(pause)

    def _fail(self, problem: str) -> None:
        self._cluster = None
        problem = f"the lease cannot be renewed: {problem}"
        if problem != self.problem:
            _log.warning("%s", problem)
        self.problem = problem

    def _take_or_renew(self, cluster: Cluster, now: Instant) -> None:
        try:
            lease = cluster.get(self._key)
        except NotFoundError:
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._key.name, "namespace": self._key.namespace},
                "spec": self._spec({}, now.time),
            }
            cluster.create(lease)
            self._note_renewal(now)
            return
        spec = lease.get("spec") or {}
        if not same_json(spec.get("holderIdentity"), self._identity):
            self.term, self._renewed = 0, _NEVER
            if spec.get("holderIdentity") and not self._expired(lease, now.monotonic):
                return
        lease["spec"] = self._spec(spec, now.time)
        cluster.update(lease)
        self._note_renewal(now)

    def _note_renewal(self, now: Instant) -> None:
        if not self.term:
            self._terms += 1
            self.term = self._terms
        self._renewed, self._holder = now.monotonic, ""

    def _expired(self, lease: JsonObject, monotonic: float) -> bool:
        """Whether the Lease of another holder did not change for its duration, by the clock of this process."""
        version, holder = str(lease["metadata"]["resourceVersion"]), str(lease["spec"].get("holderIdentity"))
        if holder != self._holder:  # logged once: a holder renews its Lease thousands of times a day
            _log.info("waiting for the lease that %s holds", holder)
            self._holder = holder
        if version != self._observed[0]:
            self._observed = (version, monotonic)
        return monotonic - self._observed[1] >= _duration(lease["spec"])

    def _spec(self, before: JsonObject, now: datetime) -> JsonObject:
        time_text = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = same_json(before.get("holderIdentity"), self._identity)
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": before.get("acquireTime") if same else time_text,
            "renewTime": time_text,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if same else 1),
        }


def _duration(spec: JsonObject) -> float:
    """Seconds after which the Lease of another holder expires; ``DURATION_SECONDS`` for an invalid value."""
    seconds = spec.get("leaseDurationSeconds")
    if isinstance(seconds, int | float) and 0 < seconds <= _LONGEST_DURATION_SECONDS and seconds is not True:
        return float(seconds)
    return DURATION_SECONDS
