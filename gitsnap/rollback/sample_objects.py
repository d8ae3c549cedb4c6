"""The objects of a sample, read only as far as a plan needs them.

A live object is compared with the bytes of the archived object, which is parsed only if they differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property, partial

from gitsnap import format as archive_format
from gitsnap.core.errors import ArchiveError, InputError
from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey
from gitsnap.core.ports import SecretsKeeper, Tree
from gitsnap.core.states import State
from gitsnap.rollback.plan import LiveState, SampleState, Unrestorable
from gitsnap.rollback.plan.match_states import CLASSIFIER_KINDS
from gitsnap.rollback.secret_values import SecretValues
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.matching import ClusterRef, matching_clusters
from gitsnap.sveltos.normalize import normalize
from gitsnap.sveltos.references import REFERENCE_PATHS, Reference, references
from gitsnap.sveltos.tree_view import TreeView

_NEEDED_KINDS = kinds.REFERENCED_KINDS | kinds.SOURCE_KINDS | {kinds.EVENT_SOURCE, kinds.HEALTH_CHECK}
"""Kinds of referenced objects that other objects need. They refer to nothing else, so references need no recursion."""


class SampleObjects:
    """The objects in the folders ``configuration/`` and ``sealed/`` of a sample's tree.

    ``keeper`` has the keys of the archive, None if there is none.
    """

    def __init__(self, tree: Tree, keeper: SecretsKeeper | None) -> None:
        self.tree = tree
        self.values = SecretValues(tree.info.secrets, keeper)
        self.view = TreeView(tree)
        """The facts that the reports of Sveltos add: sets with their status, clusters with all their labels."""
        self._files = tree.files(Area.CONFIGURATION)
        self._paths = {self._key_at(path): path for path in self._files}

    def _key_at(self, path: str) -> ObjectKey:
        return archive_format.key_of(path) or ObjectKey.of(self._decoded(path))

    def _decoded(self, path: str) -> JsonObject:
        return archive_format.decode_object(self.tree.read(self._files[path]), f"{Area.CONFIGURATION}/{path}")

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of these objects."""
        return frozenset(key.kind for key in self._paths)

    @property
    def keys(self) -> frozenset[ObjectKey]:
        """Every object of the sample's configuration."""
        return frozenset(self._paths)

    def document(self, key: ObjectKey) -> JsonObject:
        """An archived object, a Secret with fingerprints in place of values.

        Raises ArchiveError if the file contains another object: writing that object would change an unselected object.
        """
        document = self._decoded(self._paths[key])
        if ObjectKey.of(document) != key:
            raise ArchiveError(
                f"configuration/{self._paths[key]} of the sample contains {ObjectKey.of(document)}",
                hint="The archive was edited by hand; `git log` in the archive shows by whom. Choose another sample.",
            )
        return document

    def contains(self, raw: JsonObject, *, controller_labels: Collection[str]) -> bool:
        """Whether the sample contains a live object exactly as it is now."""
        key = ObjectKey.of(raw)
        path = self._paths.get(key)
        if path is None:
            return False
        document = normalize(raw, controller_labels=controller_labels)
        if self.values.masks(key.kind):
            if self.values.key_problem:
                return False
            document = self.values.mask(document)
        try:
            return archive_format.encode(document) == self.tree.read(self._files[path])
        except InputError:  # an object that cannot be archived is in no sample
            return False

    @cached_property
    def classifier_labels(self) -> frozenset[str]:
        """The label keys that the classifiers of the sample own on clusters."""
        classifiers = (self.document(key) for key in self._paths if key.kind in CLASSIFIER_KINDS)
        return frozenset(label for document in classifiers for label in inventory.classifier_labels(document))

    # Restored objects -----------------------------------------------------------------------------------------

    def restored_objects(
        self, keys: Iterable[ObjectKey], live: LiveState
    ) -> tuple[dict[ObjectKey, JsonObject], dict[ObjectKey, Unrestorable]]:
        """The archived objects with their values, and the reasons why the values of other objects are not available."""
        documents: dict[ObjectKey, JsonObject] = {}
        unrestorable: dict[ObjectKey, Unrestorable] = {}
        for key in sorted(keys):
            restored = self.restored(key, live.objects.get(key))
            if isinstance(restored, Unrestorable):
                unrestorable[key] = restored
            else:
                documents[key] = restored
        return documents, unrestorable

    def restored(self, key: ObjectKey, live: JsonObject | None) -> JsonObject | Unrestorable:
        """An archived object with its values; see ``SecretValues.restore``."""
        sealed = self.tree.files(Area.SEALED).get(self._paths[key])
        read_sealed = partial(self.tree.read, sealed) if sealed is not None else None
        return self.values.restore(self.document(key), live, read_sealed)

    # References -----------------------------------------------------------------------------------------------

    def referenced_by(self, selected: Collection[ObjectKey]) -> list[Reference]:
        """The references of selected objects, for the clusters on which they were deployed when the sample was taken.

        These include the clusters of profiles that depend on a selected profile. References to other profiles, clusters
        and sets are left out.
        """
        collected: list[Reference] = []
        for key in sorted(selected):
            if key.kind in REFERENCE_PATHS:
                document = self.with_status(key)
                collected += references(document, self._deployed_clusters(key), self.view.cluster_object)
        return [reference for reference in collected if reference.target.kind in _NEEDED_KINDS]

    def _deployed_clusters(self, key: ObjectKey) -> Iterator[ClusterRef]:
        """Yield the clusters on which an object was deployed. Fixed references need no cluster, so none is read."""
        yield from self.view.dependents.deployed_on(key, self.matched_clusters)

    def matched_clusters(self, key: ObjectKey) -> frozenset[ClusterRef]:
        """The clusters that an object matched when the sample was taken, without those of profiles that depend on it.

        A cluster that was not ready is included: the sample contains the objects that the cluster needs.
        """
        return frozenset(matching_clusters(self.with_status(key), self.view.cluster_labels, self.view.sets))

    def with_status(self, key: ObjectKey) -> JsonObject:
        """An archived object with its status from the folder ``inventory/``."""
        document = self.view.with_status_at(self._paths[key])
        if document is None:
            raise AssertionError("the paths are those of the tree")
        return document


def read_sample(objects: SampleObjects, sample: State, selected: frozenset[ObjectKey], live: LiveState) -> SampleState:
    """The selected objects of a sample, and the facts about it that a plan needs. Unchanged objects are not read."""
    documents, unrestorable = objects.restored_objects((selected & objects.keys) - live.unchanged, live)
    info = objects.tree.info
    return SampleState(
        tag=sample.tag,
        keys=objects.keys,
        documents=documents,
        unrestorable=unrestorable,
        selected=selected,
        incomplete=objects.tree.incomplete,
        time=sample.time,
        scope=frozenset(info.kinds),
        sensitive_fields=info.secrets.sensitive_fields,
    )
