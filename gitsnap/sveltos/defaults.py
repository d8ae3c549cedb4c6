"""The defaults that the CRDs of Sveltos declare. A field with its default means the same as an absent field.

The API server fills in defaults when it reads an object. An upgrade of Sveltos that adds a field with a default
therefore changes every object, but no configuration of a user, so comparisons ignore defaults. Archives keep them. No
default has changed its value between releases of Sveltos.
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
"""By kind, the defaults below ``spec``. A mapping describes a nested object. A list contains one element, which
describes every element of the field."""


def without_defaults(document: JsonObject) -> JsonObject:
    """A copy of an object without the fields of ``spec`` that have their default value.

    An object of a kind without a row in DEFAULTS is returned as it is.
    """
    defaults = DEFAULTS.get(Kind.of(document))
    if defaults is None or not isinstance(document.get("spec"), dict):
        return document
    return {**document, "spec": _strip(document["spec"], defaults)}


def _strip(value: Any, defaults: Any) -> Any:
    if isinstance(defaults, list) and isinstance(value, list):
        return [_strip(entry, defaults[0]) for entry in value]
    if not isinstance(defaults, dict) or not isinstance(value, dict):
        return value
    return {
        field: _strip(entry, defaults.get(field))
        for field, entry in value.items()
        if field not in defaults or not _is_default(entry, defaults[field])
    }


def _is_default(value: Any, default: Any) -> bool:
    # Mappings and lists in the table describe structure; they are not defaults.
    return not isinstance(default, dict | list) and same_json(value, default)
