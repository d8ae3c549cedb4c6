"""The objects of a sample, read only as far as a plan needs them.

Live objects are compared as bytes; only what differs is parsed. The values of a Secret are decrypted only where its
fingerprints differ from those of the live one. This module must not talk to a cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property

from gitsnap import format as archive_format
from gitsnap.core.errors import ArchiveError, InputError, SecretsError
from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey, SecretsMode
from gitsnap.core.objects import changed_fields, same_json
from gitsnap.core.ports import SecretsKeeper, Tree
from gitsnap.format import fingerprint, masking
from gitsnap.format.archived import documents_of_kind
from gitsnap.rollback.plan import Unrestorable
from gitsnap.rollback.plan.match_states import CLASSIFIER_KINDS, SET_KINDS
from gitsnap.sveltos import inventory, kinds, restore
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.matching import ClusterRef, matching_clusters
from gitsnap.sveltos.normalize import normalize
from gitsnap.sveltos.references import REFERENCE_PATHS, Reference, references

_NEEDED_KINDS = kinds.REFERENCED_KINDS | kinds.SOURCE_KINDS | {kinds.EVENT_SOURCE, kinds.HEALTH_CHECK}
"""What others refer to and cannot work without. None of it refers to anything further, so one round is the closure."""


class SampleObjects:
    """What a tree holds below ``configuration/`` and ``sealed/``.

    ``keeper`` knows the archive's keys; None where there are none.
    """

    def __init__(self, tree: Tree, keeper: SecretsKeeper | None) -> None:
        self._tree = tree
        self._keeper = keeper
        self._files = tree.files(Area.CONFIGURATION)
        self._paths = {self._key_at(path): path for path in self._files}

    def _key_at(self, path: str) -> ObjectKey:
        return archive_format.key_of(path) or ObjectKey.of(self._decoded(path))

    def _decoded(self, path: str) -> JsonObject:
        return archive_format.decode_object(self._tree.read(self._files[path]), f"{Area.CONFIGURATION}/{path}")

    @property
    def keys(self) -> frozenset[ObjectKey]:
        """Every object of the configuration."""
        return frozenset(self._paths)

    def document(self, key: ObjectKey) -> JsonObject:
        """An object as it is archived, a Secret with fingerprints in place of values.

        Raises ArchiveError when the file holds another object: writing that would touch what nobody selected.
        """
        document = self._decoded(self._paths[key])
        if ObjectKey.of(document) != key:
            raise ArchiveError(
                f"configuration/{self._paths[key]} of the sample holds {ObjectKey.of(document)}",
                hint="Somebody edited the archive by hand; `git log` there shows who. Choose another sample.",
            )
        return document

    def holds(self, raw: JsonObject, *, controller_labels: Collection[str]) -> bool:
        """Whether the sample has a live object exactly as it is now."""
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
            return archive_format.encode(document) == self._tree.read(self._files[path])
        except InputError:  # what has no form in an archive is not what a sample has
            return False

    @cached_property
    def classifier_labels(self) -> frozenset[str]:
        """The label keys that the classifiers of the sample own on clusters."""
        classifiers = (self.document(key) for key in self._paths if key.kind in CLASSIFIER_KINDS)
        return frozenset(label for document in classifiers for label in inventory.classifier_labels(document))

    # Secrets --------------------------------------------------------------------------------------------------

    def masks(self, kind: Kind) -> bool:
        """Whether the sample may have fingerprints in place of values in objects of a kind."""
        return masking.masks(kind, self._tree.info.secrets)

    def restored(self, key: ObjectKey, live: JsonObject | None) -> JsonObject | Unrestorable:
        """An object with its values, from the archive or, where the fingerprints are equal, from the live object."""
        archived = self.document(key)
        if not self.masks(key.kind) or not masking.hides(archived, self._tree.info.secrets):
            return _without_fingerprints(archived)
        if self._key_problem:
            return Unrestorable(self._key_problem)
        changed: tuple[str, ...] = ()
        if live is not None:
            secrets, plain = self._tree.info.secrets, normalize(live)
            masked = self._mask(plain)
            if same_json(masking.sealed_part(masked, secrets), masking.sealed_part(archived, secrets)):
                return self._restored(archived, masking.values_document(plain, secrets))
            changed = changed_fields(masked, restore.wanted(archived, masked))
        if self._tree.info.secrets.mode is SecretsMode.REDACT:
            return Unrestorable("the archive keeps fingerprints of Secrets, not their values (mode redact)", changed)
        try:
            return _without_fingerprints(self._unsealed(key, archived))
        except SecretsError as error:
            return Unrestorable(error.message, changed)

    @cached_property
    def _key_problem(self) -> str:
        """Why fingerprints cannot be computed, ``""`` where they can."""
        if self._keeper is None:
            return "the keys of the archive are not at hand, so that its Secrets can be neither compared nor decrypted"
        try:
            own = fingerprint.key_id(self._keeper.fingerprint_key)
        except SecretsError as error:
            return error.message
        wanted = self._tree.info.secrets.fingerprint_key
        if own != wanted:
            return f"the sample was made with the fingerprint key {wanted}, and the key at hand is {own}"
        return ""

    def _mask(self, document: JsonObject) -> JsonObject:
        if self._keeper is None:
            raise AssertionError("asked for fingerprints without a key")
        return masking.mask(document, self._tree.info.secrets, self._keeper.fingerprint_key)

    def _unsealed(self, key: ObjectKey, archived: JsonObject) -> JsonObject:
        sealed = self._tree.files(Area.SEALED).get(self._paths[key])
        if sealed is None:
            raise SecretsError("the sample has no encrypted values of it")
        if self._keeper is None:
            raise AssertionError("asked for values without a key")
        return self._restored(archived, archive_format.decode(self._keeper.unseal(self._tree.read(sealed))))

    def _restored(self, archived: JsonObject, values: object) -> JsonObject:
        if self._keeper is None:
            raise AssertionError("asked for values without a key")
        return masking.restore(archived, values, self._tree.info.secrets, self._keeper.fingerprint_key)

    # References -----------------------------------------------------------------------------------------------

    def referenced_by(self, selected: Collection[ObjectKey]) -> list[Reference]:
        """What selected objects need, for the clusters that they matched when the sample was taken.

        Other profiles, clusters and sets that they name are objects in their own right, and not meant.
        """
        clusters: dict[ClusterRef, Mapping[str, str]] = {}
        objects: dict[ClusterRef, JsonObject] = {}
        for document in self._documents(kinds.CLUSTER_KINDS):
            ref = ClusterRef.of(document)
            clusters[ref] = document["metadata"].get("labels") or {}
            objects[ref] = template_view(document)
        sets = {ObjectKey.of(document): document for document in self._documents(SET_KINDS)}
        found: list[Reference] = []
        for document in self._documents({key.kind for key in selected} & REFERENCE_PATHS.keys()):
            if ObjectKey.of(document) in selected:
                found += references(document, matching_clusters(document, clusters, sets), objects.get)
        return [one for one in found if one.target.kind in _NEEDED_KINDS]

    def _documents(self, of_kinds: Iterable[Kind]) -> Iterator[JsonObject]:
        """The objects of some kinds with the status that the inventory keeps of them."""
        for kind in sorted(of_kinds):
            yield from documents_of_kind(self._tree, kind)


def _without_fingerprints(document: JsonObject) -> JsonObject | Unrestorable:
    """Whatever went wrong before: a fingerprint is never written to a cluster as if it were a value."""
    if masking.shows_fingerprints(document):
        return Unrestorable("the sample holds fingerprints of its values only")
    return document
