"""Contract of cluster adapters (ports.Cluster), part 2: reads and writes of single objects.

The same tests run on a real API server and on a folder of YAML files.
"""

from __future__ import annotations

import base64

import pytest

from gitsnap.core.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    ConflictError,
    KindNotInstalledError,
    NotFoundError,
    RejectedError,
)
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos.kinds import CLUSTER_PROFILE, CONFIG_MAP
from tests.support.beds import Bed, config_map, names, profile, served

# Single objects


def test_create_and_get(bed: Bed) -> None:
    """A created object has a uid and a resource version. A later read returns the same object."""
    cluster = bed.connect()
    document = config_map("one", bed.namespace(), multi="line one\nline two\n", odd="yes", empty="")

    created = cluster.create(document)

    assert created["metadata"]["uid"]
    assert created["metadata"]["resourceVersion"]
    assert created["data"] == document["data"]
    assert bed.connect().get(ObjectKey.of(document)) == created


def test_create_ignores_a_uid(bed: Bed) -> None:
    """A created object has a new uid, even if the document contains a uid."""
    cluster = bed.connect()
    document = config_map("one", bed.namespace())
    document["metadata"]["uid"] = "00000000-0000-0000-0000-000000000001"

    assert cluster.create(document)["metadata"]["uid"] != document["metadata"]["uid"]


def test_returned_objects_are_copies(bed: Bed) -> None:
    """A change of a returned object does not change the cluster."""
    cluster = bed.connect()
    key = ObjectKey.of(cluster.create(config_map("one", bed.namespace())))

    cluster.get(key)["data"]["text"] = "changed"
    next(cluster.list(served(cluster, CONFIG_MAP), namespace=key.namespace)).items[0]["data"]["text"] = "changed"

    assert cluster.get(key)["data"]["text"] == "one"


def test_get_of_a_missing_object(bed: Bed) -> None:
    """A missing object is NotFoundError and not KindNotInstalledError."""
    cluster = bed.connect()

    for key in (ObjectKey(CONFIG_MAP, "default", "absent"), ObjectKey(CLUSTER_PROFILE, "", "absent")):
        with pytest.raises(NotFoundError) as caught:
            cluster.get(key)
        assert not isinstance(caught.value, KindNotInstalledError)
        assert "absent" in str(caught.value)


def test_create_of_an_existing_object(bed: Bed) -> None:
    """Creating an existing object is AlreadyExistsError."""
    cluster = bed.connect()
    document = config_map("one", bed.namespace())
    cluster.create(document)

    with pytest.raises(AlreadyExistsError):
        cluster.create(document)


def test_create_in_a_missing_namespace(bed: Bed) -> None:
    """The error names the missing namespace, and is not KindNotInstalledError."""
    with pytest.raises(NotFoundError, match="absent") as caught:
        bed.connect().create(config_map("one", "absent"))
    assert not isinstance(caught.value, KindNotInstalledError)


def test_create_with_a_resource_version(bed: Bed) -> None:
    """A new object with a resource version is refused."""
    document = config_map("one", bed.namespace())
    document["metadata"]["resourceVersion"] = "1"

    with pytest.raises(RejectedError):
        bed.connect().create(document)


def test_update(bed: Bed) -> None:
    """An update replaces the object. The resource version changes, the uid does not."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace(), gone="x"))

    updated = cluster.update(live | {"data": {"text": "two"}})

    assert updated["data"] == {"text": "two"}
    assert updated["metadata"]["uid"] == live["metadata"]["uid"]
    assert updated["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]
    assert bed.connect().get(ObjectKey.of(live)) == updated


def test_update_that_changes_nothing(bed: Bed) -> None:
    """An update without changes keeps the resource version."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))

    assert cluster.update(live) == live


def test_update_of_a_changed_object(bed: Bed) -> None:
    """An update does not overwrite a concurrent change, and is a conflict."""
    cluster, other = bed.connect(), bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))
    other.update(other.get(ObjectKey.of(live)) | {"data": {"text": "theirs"}})

    with pytest.raises(ConflictError):
        cluster.update(live | {"data": {"text": "mine"}})

    assert bed.connect().get(ObjectKey.of(live))["data"] == {"text": "theirs"}


def test_update_of_a_recreated_object(bed: Bed) -> None:
    """An object of the same name with another uid is another object, even if the resource version matches."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))
    cluster.delete(ObjectKey.of(live), uid=live["metadata"]["uid"])
    recreated = cluster.create(config_map("one", live["metadata"]["namespace"]))
    document = recreated | {
        "metadata": recreated["metadata"] | {"uid": live["metadata"]["uid"]},
        "data": {"text": "mine"},
    }

    with pytest.raises(ConflictError):
        cluster.update(document)

    assert bed.connect().get(ObjectKey.of(live)) == recreated


@pytest.mark.parametrize("field_name", ["uid", "resourceVersion"])
def test_update_without_preconditions(bed: Bed, field_name: str) -> None:
    """An update without uid or resource version is refused, although an API server would overwrite the object."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))
    metadata = {name: value for name, value in live["metadata"].items() if name != field_name}

    with pytest.raises(RejectedError, match=field_name):
        cluster.update(live | {"metadata": metadata, "data": {"text": "two"}})


def test_update_of_a_missing_object(bed: Bed) -> None:
    """An update never creates an object."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))
    cluster.delete(ObjectKey.of(live), uid=live["metadata"]["uid"])

    with pytest.raises((NotFoundError, ConflictError)):
        cluster.update(live | {"data": {"text": "two"}})

    assert names(bed.connect(), CONFIG_MAP, namespace=live["metadata"]["namespace"]) == []


def test_patch(bed: Bed) -> None:
    """A merge patch sets its fields, removes fields with the value null, and keeps all other fields."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace(), labels={"a": "1", "b": "2"}, gone="x"))

    patched = cluster.patch(
        ObjectKey.of(live), {"metadata": {"labels": {"a": None, "c": "3"}}, "data": {"gone": None, "new": "y"}}
    )

    assert patched["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert patched["data"] == {"text": "one", "new": "y"}
    assert bed.connect().get(ObjectKey.of(live)) == patched


@pytest.mark.parametrize("stale", [{"resourceVersion": "1"}, {"uid": "00000000-0000-0000-0000-000000000001"}])
def test_patch_with_stale_preconditions(bed: Bed, stale: dict[str, str]) -> None:
    """The uid and the resource version in a patch are preconditions."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))

    with pytest.raises(ConflictError):
        cluster.patch(ObjectKey.of(live), {"metadata": stale, "data": {"text": "two"}})
    fresh = {field_name: live["metadata"][field_name] for field_name in ("uid", "resourceVersion")}

    assert cluster.patch(ObjectKey.of(live), {"metadata": fresh, "data": {"text": "2"}})["data"] == {"text": "2"}


def test_patch_of_a_missing_object(bed: Bed) -> None:
    """A patch never creates an object."""
    with pytest.raises(NotFoundError):
        bed.connect().patch(ObjectKey(CONFIG_MAP, "default", "absent"), {"data": {"a": "b"}})


def test_delete(bed: Bed) -> None:
    """No connection can read or delete a deleted object."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))
    cluster.delete(
        ObjectKey.of(live), uid=live["metadata"]["uid"], resource_version=live["metadata"]["resourceVersion"]
    )

    with pytest.raises(NotFoundError):
        cluster.get(ObjectKey.of(live))
    with pytest.raises(NotFoundError):
        bed.connect().delete(ObjectKey.of(live), uid=live["metadata"]["uid"])


def test_delete_with_stale_preconditions(bed: Bed) -> None:
    """An object that changed or was recreated is not deleted."""
    cluster, other = bed.connect(), bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))
    key, uid = ObjectKey.of(live), live["metadata"]["uid"]
    other.patch(key, {"data": {"text": "two"}})

    with pytest.raises(ConflictError):
        cluster.delete(key, uid=uid, resource_version=live["metadata"]["resourceVersion"])
    with pytest.raises(ConflictError):
        cluster.delete(key, uid="00000000-0000-0000-0000-000000000001")

    assert bed.connect().get(key)["data"] == {"text": "two"}


def test_dry_runs_change_nothing(bed: Bed) -> None:
    """A dry run has the response or the error of the write, and changes no object."""
    cluster = bed.connect()
    namespace = bed.namespace()
    live = cluster.create(config_map("one", namespace))
    key, uid = ObjectKey.of(live), live["metadata"]["uid"]

    created = cluster.create(config_map("two", namespace), dry_run=True)
    updated = cluster.update(live | {"data": {"text": "two"}}, dry_run=True)
    patched = cluster.patch(key, {"data": {"text": "three"}}, dry_run=True)
    cluster.delete(key, uid=uid, dry_run=True)

    assert created["metadata"]["uid"]
    assert (updated["data"], patched["data"]) == ({"text": "two"}, {"text": "three"})
    assert names(cluster, CONFIG_MAP, namespace=namespace) == ["one"]
    assert cluster.get(key) == bed.connect().get(key) == live
    with pytest.raises(AlreadyExistsError):
        cluster.create(config_map("one", namespace), dry_run=True)
    with pytest.raises(NotFoundError):
        cluster.create(config_map("one", "absent"), dry_run=True)
    with pytest.raises(ConflictError):
        cluster.delete(key, uid="00000000-0000-0000-0000-000000000001", dry_run=True)


def test_create_after_the_last_object_was_deleted(bed: Bed) -> None:
    """A kind is still served after its last object is deleted."""
    cluster = bed.connect()
    live = cluster.create(profile("one"))
    cluster.delete(ObjectKey.of(live), uid=live["metadata"]["uid"])

    assert cluster.create(profile("one"))["metadata"]["uid"] != live["metadata"]["uid"]


# Server-side behaviour


def test_status_is_not_written(bed: Bed) -> None:
    """If status is a subresource, create, update and patch do not change the status."""
    cluster = bed.connect()
    created = cluster.create(profile("one") | {"status": {"matchingClusters": []}})
    key = ObjectKey.of(created)
    status = {"updatedClusters": {"hash": "aGFzaA=="}}
    bed.set_status(cluster, key, status)
    cluster = bed.connect()
    live = cluster.get(key)

    updated = cluster.update(live | {"spec": {"syncMode": "OneTime"}, "status": {}})
    patched = cluster.patch(key, {"status": {"updatedClusters": None}})

    assert "matchingClusters" not in created.get("status", {})
    assert live["status"] == status
    assert (updated["spec"]["syncMode"], updated["status"]) == ("OneTime", status)
    assert patched["status"] == status


def test_string_data_of_a_secret(bed: Bed) -> None:
    """`stringData` is encoded and merged into `data`, and is never returned."""
    cluster = bed.connect()
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "one", "namespace": bed.namespace()},
        "data": {"kept": base64.b64encode(b"a").decode(), "both": base64.b64encode(b"b").decode()},
        "stringData": {"both": "c", "new": "é"},
    }

    created = cluster.create(document)
    decoded = {name: base64.b64decode(value).decode() for name, value in created["data"].items()}

    assert decoded == {"kept": "a", "both": "c", "new": "é"}
    assert "stringData" not in created
    assert created["type"] == "Opaque"
    assert bed.connect().get(ObjectKey.of(document)) == created


def test_the_type_of_a_secret_cannot_change(bed: Bed) -> None:
    """The message of the refusal names the field and no value."""
    cluster = bed.connect()
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "one", "namespace": bed.namespace()},
        "stringData": {"password": "correct horse"},
    }
    live = cluster.create(document)

    with pytest.raises(RejectedError, match="type") as caught:
        cluster.update(live | {"type": "gitsnap.test/other"})

    assert live["data"]["password"] not in str(caught.value)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_immutable_objects(bed: Bed, kind: str) -> None:
    """The data of an immutable ConfigMap or Secret cannot change. The labels can."""
    cluster = bed.connect()
    document = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "one", "namespace": bed.namespace()},
        "data": {"a": "YQ=="},
        "immutable": True,
    }
    live = cluster.create(document)

    with pytest.raises(RejectedError, match="data"):
        cluster.update(live | {"data": {"a": "Yg=="}})
    with pytest.raises(RejectedError, match="immutable"):
        cluster.update(live | {"immutable": False})
    labelled = cluster.patch(ObjectKey.of(live), {"metadata": {"labels": {"a": "b"}}})

    assert labelled["metadata"]["labels"] == {"a": "b"}


def test_a_namespaced_object_without_a_namespace(bed: Bed) -> None:
    """A namespaced object without a namespace cannot be written."""
    document = config_map("one", "x")
    del document["metadata"]["namespace"]

    with pytest.raises((RejectedError, NotFoundError)):
        bed.connect().create(document)


# Permissions and concurrency


def test_a_reader_cannot_write(bed: Bed) -> None:
    """Each forbidden write is AccessDeniedError and changes no object, with and without a dry run."""
    namespace = bed.namespace()
    live = bed.connect().create(config_map("one", namespace))
    key, uid = ObjectKey.of(live), live["metadata"]["uid"]
    reader = bed.connect_as_reader()

    assert reader.get(key) == live
    assert names(reader, CONFIG_MAP, namespace=namespace) == ["one"]
    for dry_run in (True, False):
        with pytest.raises(AccessDeniedError):
            reader.create(config_map("two", namespace), dry_run=dry_run)
        with pytest.raises(AccessDeniedError):
            reader.update(live | {"data": {}}, dry_run=dry_run)
        with pytest.raises(AccessDeniedError):
            reader.patch(key, {"data": {"text": "two"}}, dry_run=dry_run)
        with pytest.raises(AccessDeniedError):
            reader.delete(key, uid=uid, dry_run=dry_run)

    assert bed.connect().get(key) == live
    assert names(bed.connect(), CONFIG_MAP, namespace=namespace) == ["one"]


def test_two_writers_see_each_other(bed: Bed) -> None:
    """A connection can update an object that another connection wrote."""
    first, second = bed.connect(), bed.connect()
    namespace = bed.namespace()

    live = first.create(config_map("one", namespace))
    theirs = second.update(live | {"data": {"text": "two"}})
    mine = first.update(theirs | {"data": {"text": "three"}})
    second.create(config_map("two", namespace))
    with pytest.raises(AlreadyExistsError):
        first.create(config_map("two", namespace))

    assert mine["data"] == {"text": "three"}
    assert names(bed.connect(), CONFIG_MAP, namespace=namespace) == ["one", "two"]


_NOT_STRINGS = [5, True, 1.5, ["a"], {"a": "b"}]


@pytest.mark.parametrize("field", ["data", "binaryData", "stringData", "labels", "annotations", "name"])
def test_string_fields_refuse_other_types(bed: Bed, field: str) -> None:
    """A string field refuses a number, a boolean, a list and a map."""
    cluster = bed.connect()
    kind = "Secret" if field == "stringData" else "ConfigMap"
    for number, value in enumerate(_NOT_STRINGS):
        document: JsonObject = {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": f"no-{number}", "namespace": bed.namespace() if number == 0 else "default"},
        }
        if field == "name":
            document["metadata"]["name"] = value
        elif field in ("labels", "annotations"):
            document["metadata"][field] = {"k": value}
        else:
            document[field] = {"k": value}

        with pytest.raises(RejectedError):
            cluster.create(document)


@pytest.mark.parametrize("value", [5, "text", ["a"]])
def test_string_maps_refuse_other_types(bed: Bed, value: object) -> None:
    """A map of strings refuses values of another type."""
    document = config_map("one", bed.namespace()) | {"data": value}

    with pytest.raises(RejectedError):
        bed.connect().create(document)


def test_null_is_the_empty_string(bed: Bed) -> None:
    """An API server reads null in a map of strings as the empty string."""
    cluster = bed.connect()
    document = config_map("one", bed.namespace()) | {"data": {"k": None}}
    document["metadata"]["labels"] = {"l": None}

    created = cluster.create(document)

    assert created["data"] == {"k": ""}
    assert created["metadata"]["labels"] == {"l": ""}
