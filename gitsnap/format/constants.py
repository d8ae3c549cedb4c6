"""Constants of the archive format: version, names of files and folders, and the files with constant content.

A release must not change a value: each of them is part of the trees that existing archives hold (docs/FORMAT.md).
"""

from __future__ import annotations

FORMAT = 1
"""The format version that this gitsnap writes, and the newest that it reads."""

SENSITIVE_FIELDS = "sensitive-fields"
"""A feature that ``requires`` of a tree may name: objects other than Secrets may contain fingerprints.

A reader that does not know the feature would restore fingerprints as values, so it must refuse the tree.
"""

FEATURES = frozenset({SENSITIVE_FIELDS})
"""The features that this gitsnap knows."""

CLUSTER_SCOPED = "_cluster"
"""The folder of cluster-scoped objects. No namespace can have this name."""

EXTENSION = ".yaml"

TREE_INFO_FILE = "gitsnap.yaml"
README_FILE = "README.md"
ATTRIBUTES_FILE = ".gitattributes"

UNRESOLVED_FILE = "unresolved.yaml"
"""Below ``inventory/``: the references that could not be resolved."""

WRAPPED_KEY_FILE = "_fingerprint-key.age"
"""Below ``sealed/``: the fingerprint key, encrypted to the recipients."""

README = b"""\
# A gitsnap archive

This repository is the record of a Kubernetes management cluster's configuration, written by gitsnap.
Each tag is a sample: what the configuration was at that moment (UTC). Each commit is a change of it.

    git tag                                      the samples
    git log --stat                               the change log
    git log -p -- configuration                  every change, line by line
    git diff TAG TAG -- configuration            what changed between two samples
    git show TAG:configuration/NAMESPACE/KIND/NAME.yaml

| folder | what it holds |
|---|---|
| configuration/ | the objects that people own; `_cluster` is the folder of cluster-scoped ones |
| inventory/ | what Sveltos reported: deployed resources and releases, matching clusters, states |
| sealed/ | the values of Secrets, encrypted with age; below configuration/ a Secret shows fingerprints only |
| gitsnap.yaml | how to interpret this tree: format, scope, how Secrets are kept |

Put something back with `gitsnap rollback`. What you edit or commit here is never lost, but it is no sample:
the next capture writes the cluster's own state on top of it.
"""

ATTRIBUTES = b"""\
* -text
sealed/** binary -diff
"""
