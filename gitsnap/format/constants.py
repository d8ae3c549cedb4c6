"""The files of an archive whose bytes are the same in every tree of a format version.

This module must not change for a released version: another byte would be a commit in every archive.
"""

from __future__ import annotations

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
