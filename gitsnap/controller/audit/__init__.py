"""The audit receiver: receives audit events of the API server, which name the authors of changes (docs/AUTHORS.md)."""

from gitsnap.controller.audit.access import AuditSettings
from gitsnap.controller.audit.receiver import AuditReceiver

__all__ = ["AuditReceiver", "AuditSettings"]
