"""The defaults that the CRDs of Sveltos declare: a field with its default says what its absence says.

A server fills them in when it reads an object, so an upgrade of Sveltos that brings a field changes every object that
lacks it, and nobody's configuration. No default ever had another value in an earlier release.
This module must not change what is archived: it only serves comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitsnap.core.model import JsonObject, Kind
from gitsnap.core.objects import same_json
from gitsnap.sveltos import kinds

_OPTIONAL: JsonObject = {"optional": False}
_REFERENCE: JsonObject = {
    "deploymentType": "Remote",
    "force": False,
    "optional": False,
    "remoteURL": {"insecureSkipTLSVerify": False, "plainHTTP": False},
    "skipNamespaceCreation": False,
    "tier": 100,
}
_HELM_OPTIONS: JsonObject = {
    **dict.fromkeys(
        (
            "atomic",
            "dependencyUpdate",
            "disableHooks",
            "disableOpenAPIValidation",
            "enableClientCache",
            "runTests",
            "skipCRDs",
            "skipSchemaValidation",
            "wait",
            "waitForJobs",
        ),
        False,
    ),
    "installOptions": {
        "createNamespace": True,
        "disableHooks": False,
        "recoverAfterConsecutiveFailures": 5,
        "replace": True,
        "takeOwnership": False,
    },
    "uninstallOptions": {"disableHooks": False},
    "upgradeOptions": {
        **dict.fromkeys(
            (
                "cleanupOnFail",
                "disableHooks",
                "force",
                "recreate",
                "resetThenReuseValues",
                "resetValues",
                "reuseValues",
                "subNotes",
                "takeOwnership",
                "upgradeCRDs",
            ),
            False,
        ),
        "maxHistory": 2,
    },
}
_ADD_ONS: JsonObject = {
    "continueOnConflict": False,
    "helmCharts": [{"helmChartAction": "Install", "options": _HELM_OPTIONS, "valuesFrom": [_OPTIONAL]}],
    "kustomizationRefs": [{**_REFERENCE, "valuesFrom": [_OPTIONAL]}],
    "patchesFrom": [_OPTIONAL],
    "policyRefs": [_REFERENCE],
    "reloader": False,
    "stopMatchingBehavior": "WithdrawPolicies",
    "syncMode": "Continuous",
    "templateResourceRefs": [{"ignoreStatusChanges": False, "optional": False}],
    "tier": 100,
}
_PROFILE: JsonObject = {**_ADD_ONS, "continueOnError": False}

DEFAULTS: Mapping[Kind, JsonObject] = {
    kinds.CLUSTER_PROFILE: _PROFILE,
    kinds.PROFILE: _PROFILE,
    kinds.CLUSTER_PROMOTION: {
        "profileSpec": _PROFILE,
        "stages": [
            {
                "trigger": {
                    "auto": {"preHealthCheckDeployment": [_REFERENCE]},
                    "manual": {"automaticReset": True, "preHealthCheckDeployment": [_REFERENCE]},
                }
            }
        ],
    },
    kinds.EVENT_TRIGGER: {
        **_ADD_ONS,
        "cloudEventAction": "Create",
        "configMapGenerator": [_OPTIONAL],
        "secretGenerator": [_OPTIONAL],
    },
    kinds.EVENT_SOURCE: {"collectResources": False},
    kinds.HEALTH_CHECK: {"collectResources": False, "evaluateIndependently": True},
    kinds.SVELTOS_CLUSTER: {
        "consecutiveFailureThreshold": 3,
        "pullMode": False,
        "workloadIdentity": {"caSecretRef": {"name": ""}},
    },
}
"""Below ``spec``: a field's default, a map for a nested object, a list of one for the entries of a list."""


def without_defaults(document: JsonObject) -> JsonObject:
    """A copy in which fields that hold their default are left out, the same object where there are none."""
    defaults = DEFAULTS.get(Kind.of(document))
    if defaults is None or not isinstance(document.get("spec"), dict):
        return document
    return {**document, "spec": _stripped(document["spec"], defaults)}


def _stripped(value: Any, defaults: Any) -> Any:
    if isinstance(defaults, list) and isinstance(value, list):
        return [_stripped(entry, defaults[0]) for entry in value]
    if not isinstance(defaults, dict) or not isinstance(value, dict):
        return value
    return {
        field: _stripped(entry, defaults.get(field))
        for field, entry in value.items()
        if field not in defaults or not _is_default(entry, defaults[field])
    }


def _is_default(value: Any, default: Any) -> bool:
    # Maps and lists in the table are structure, not defaults.
    return not isinstance(default, dict | list) and same_json(value, default)
