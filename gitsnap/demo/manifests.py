"""The objects of the demo: the manifests that a user wrote, and the reports that Sveltos would write."""

from __future__ import annotations

import base64

from gitsnap.core.model import JsonObject

CLUSTER = """\
apiVersion: v1
kind: Namespace
metadata:
  name: kube-system
  uid: 6f1c1d0e-1b1a-4f55-9d0e-demo00000001
---
apiVersion: v1
kind: Namespace
metadata:
  name: default
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata:
  name: clusterapi-workload
  namespace: default
  labels:
    env: fv
spec:
  paused: false
"""

PROFILE = """\
apiVersion: config.projectsveltos.io/v1beta1
kind: ClusterProfile
metadata:
  name: guestbook
spec:
  clusterSelector:
    matchLabels:
      env: fv
  policyRefs:
  - kind: ConfigMap
    namespace: default
    name: database
  - kind: ConfigMap
    namespace: default
    name: frontend
  - kind: Secret
    namespace: default
    name: db-credentials
status:
  matchingClusters:
  - apiVersion: cluster.x-k8s.io/v1beta2
    kind: Cluster
    namespace: default
    name: clusterapi-workload
"""

DATABASE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: database
  namespace: default
data:
  database.yaml: |
    # the leader takes the writes
    apiVersion: v1
    kind: Service
    metadata:
      name: redis-leader
      namespace: test
    spec:
      ports:
      - port: 6379
      selector:
        app: redis
        role: leader
    ---
    # followers answer the reads
    apiVersion: v1
    kind: Service
    metadata:
      name: redis-follower
      namespace: test
    spec:
      ports:
      - port: 6379
      selector:
        app: redis
"""

FRONTEND = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: frontend
  namespace: default
data:
  frontend.yaml: |
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: frontend
      namespace: test
    spec:
      replicas: 3
      selector:
        matchLabels:
          app: guestbook
"""

CREDENTIALS = """\
apiVersion: v1
kind: Secret
metadata:
  name: db-credentials
  namespace: default
type: addons.projectsveltos.io/cluster-profile
stringData:
  user: guestbook
  password: {password}
"""

_DEPLOYED = (("apps", "Deployment", "frontend"), ("", "Service", "redis-follower"), ("", "Service", "redis-leader"))
_LABELS = {"projectsveltos.io/cluster-name": "clusterapi-workload", "projectsveltos.io/cluster-type": "Capi"}


def inventory(*, revision: int, time: str) -> list[JsonObject]:
    """Return the ClusterConfiguration and the ClusterSummary that Sveltos writes after a deployment.

    ``revision``: the number of the deployed content; the ClusterSummary has a hash of it. ``time``: the time of the
    deployment, RFC 3339.
    """
    entries = [
        {"group": group, "kind": kind, "namespace": "test", "name": name, "version": "v1", "lastAppliedTime": time}
        for group, kind, name in _DEPLOYED
    ]
    features = [{"featureID": "Resources", "resources": entries}]
    configuration: JsonObject = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterConfiguration",
        "metadata": {"name": "capi--clusterapi-workload", "namespace": "default", "labels": _LABELS},
        "status": {"clusterProfileResources": [{"clusterProfileName": "guestbook", "Features": features}]},
    }
    content = base64.b64encode(f"content-{revision}".encode()).decode()
    summary: JsonObject = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterSummary",
        "metadata": {
            "name": "guestbook-capi-clusterapi-workload",
            "namespace": "default",
            "labels": {**_LABELS, "projectsveltos.io/cluster-profile-name": "guestbook"},
        },
        "spec": {"clusterNamespace": "default", "clusterName": "clusterapi-workload", "clusterType": "Capi"},
        "status": {"featureSummaries": [{"featureID": "Resources", "hash": content, "status": "Provisioned"}]},
    }
    return [configuration, summary]
