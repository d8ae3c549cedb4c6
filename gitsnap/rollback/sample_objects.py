"""The objects of a sample, read only as far as a plan needs them.

A live object is compared with the bytes of the archived object, which is parsed only if they differ. The values of a
Secret are decrypted only if its fingerprints differ from the fingerprints of the live Secret.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from gitsnap import format as archive_format
from gitsnap.core.errors import ArchiveError, InputError, SecretsError
from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey, SecretsMode
from gitsnap.core.objects import changed_fields, same_json
from gitsnap.core.ports import SecretsKeeper, Tree
from gitsnap.format import fingerprint, masking
from gitsnap.format.archived import document_at, documents_of_kind
from gitsnap.rollback.plan import Unrestorable
from gitsnap.rollback.plan.match_states import CLASSIFIER_KINDS, SET_KINDS
from gitsnap.sveltos import inventory, kinds, restore
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.matching import ClusterIndex, ClusterRef, matching_clusters
from gitsnap.sveltos.normalize import normalize
from gitsnap.sveltos.references import REFERENCE_PATHS, Reference, references

_NEEDED_KINDS = kinds.REFERENCED_KINDS | kinds.SOURCE_KINDS | {kinds.EVENT_SOURCE, kinds.HEALTH_CHECK}
"""Kinds of referenced objects that other objects need. They refer to nothing else, so references need no recursion."""


class SampleObjects:
    """The objects in the folders ``configuration/`` and ``sealed/`` of a sample's tree.

    ``keeper`` has the keys of the archive, None if there is none.
    """

    def __init__(self, tree: Tree, keeper: SecretsKeeper | None) -> None:
        self.tree = tree
        self._keeper = keeper
        self._files = tree.files(Area.CONFIGURATION)
        self._paths = {self._key_at(path): path for path in self._files}

    def _key_at(self, path: str) -> ObjectKey:
        return archive_format.key_of(path) or ObjectKey.of(self._decoded(path))

    def _decoded(self, path: str) -> JsonObject:
        return archive_format.decode_object(self.tree.read(self._files[path]), f"{Area.CONFIGURATION}/{path}")

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
        if self.masks(key.kind):
            if self._key_problem:
                return False
            document = self._mask(document)
        try:
            return archive_format.encode(document) == self.tree.read(self._files[path])
        except InputError:  # an object that cannot be archived is in no sample
            return False

    @cached_property
    def classifier_labels(self) -> frozenset[str]:
        """The label keys that the classifiers of the sample own on clusters."""
        classifiers = (self.document(key) for key in self._paths if key.kind in CLASSIFIER_KINDS)
        return frozenset(label for document in classifiers for label in inventory.classifier_labels(document))

    # Secrets --------------------------------------------------------------------------------------------------

    def masks(self, kind: Kind) -> bool:
        """Whether objects of a kind may have fingerprints in place of values."""
        return masking.masks(kind, self.tree.info.secrets)

    def restored(self, key: ObjectKey, live: JsonObject | None) -> JsonObject | Unrestorable:
        """An object with its values: from the live object if the fingerprints are equal, else from the archive."""
        archived = self.document(key)
        if not self.masks(key.kind) or not masking.hides(archived, self.tree.info.secrets):
            return _without_fingerprints(archived)
        if self._key_problem:
            return Unrestorable(self._key_problem)
        changed: tuple[str, ...] = ()
        if live is not None:
            secrets, plain = self.tree.info.secrets, normalize(live)
            masked = self._mask(plain)
            if same_json(masking.sealed_part(masked, secrets), masking.sealed_part(archived, secrets)):
                return self._restored(archived, masking.values_document(plain, secrets))
            changed = changed_fields(masked, restore.desired_object(archived, masked))
        if self.tree.info.secrets.mode is SecretsMode.REDACT:
            return Unrestorable("the archive keeps fingerprints of Secrets, not their values (mode redact)", changed)
        try:
            return _without_fingerprints(self._unsealed(key, archived))
        except SecretsError as error:
            return Unrestorable(error.message, changed)

    @cached_property
    def _key_problem(self) -> str:
        """Why fingerprints cannot be computed; ``""`` if they can."""
        if self._keeper is None:
            return "the keys of the archive are not available, so its Secrets can be neither compared nor decrypted"
        try:
            own = fingerprint.key_id(self._keeper.fingerprint_key)
        except SecretsError as error:
            return error.message
        required = self.tree.info.secrets.fingerprint_key
        if own != required:
            return f"the sample was made with the fingerprint key {required}, and the available key is {own}"
        return ""

    def has_key_problem(self, kind: Kind) -> bool:
        """Whether a kind has fingerprints that cannot be compared, because the keys of the archive are missing."""
        return self.masks(kind) and bool(self._key_problem)

    def _mask(self, document: JsonObject) -> JsonObject:
        if self._keeper is None:
            raise AssertionError("fingerprints need a key")
        return masking.mask(document, self.tree.info.secrets, self._keeper.fingerprint_key)

    def _unsealed(self, key: ObjectKey, archived: JsonObject) -> JsonObject:
        sealed = self.tree.files(Area.SEALED).get(self._paths[key])
        if sealed is None:
            raise SecretsError("the sample contains no encrypted values of the object")
        if self._keeper is None:
            raise AssertionError("sealed values need a key")
        return self._restored(archived, archive_format.decode(self._keeper.unseal(self.tree.read(sealed))))

    def _restored(self, archived: JsonObject, values: object) -> JsonObject:
        if self._keeper is None:
            raise AssertionError("sealed values need a key")
        return masking.restore(archived, values, self.tree.info.secrets, self._keeper.fingerprint_key)

    # References -----------------------------------------------------------------------------------------------

    def referenced_by(self, selected: Collection[ObjectKey]) -> list[Reference]:
        """The references of selected objects, for the clusters that they matched when the sample was taken.

        References to other profiles, clusters and sets are left out.
        """
        collected: list[Reference] = []
        for key in sorted(selected):
            if key.kind in REFERENCE_PATHS:
                document = self.with_status(key)
                matching = matching_clusters(document, self.cluster_labels, self.sets)
                collected += references(document, matching, self._cluster_views.get)
        return [reference for reference in collected if reference.target.kind in _NEEDED_KINDS]

    def with_status(self, key: ObjectKey) -> JsonObject:
        """An archived object with its status from the folder ``inventory/``."""
        document = document_at(self.tree, self._paths[key])
        if document is None:
            raise AssertionError("the paths are those of the tree")
        return document

    @cached_property
    def sets(self) -> dict[ObjectKey, JsonObject]:
        """The sets of the sample, with their status."""
        return {
            ObjectKey.of(document): document for kind in SET_KINDS for document in documents_of_kind(self.tree, kind)
        }

    @cached_property
    def cluster_labels(self) -> ClusterIndex:
        """The managed clusters of the sample with their labels."""
        labels = ClusterIndex()
        for ref, document in self._clusters.items():
            labels.add(ref, document["metadata"].get("labels") or {})
        return labels

    @cached_property
    def _cluster_views(self) -> dict[ClusterRef, JsonObject]:
        return {ref: template_view(document) for ref, document in self._clusters.items()}

    @cached_property
    def _clusters(self) -> dict[ClusterRef, JsonObject]:
        documents = (document for kind in kinds.CLUSTER_KINDS for document in documents_of_kind(self.tree, kind))
        return {ClusterRef.of(document): document for document in documents}


def _without_fingerprints(document: JsonObject) -> JsonObject | Unrestorable:
    """The document, unless it contains fingerprints: gitsnap never writes a fingerprint as a value."""
    if masking.shows_fingerprints(document):
        return Unrestorable("the sample contains only fingerprints of its values")
    return document
