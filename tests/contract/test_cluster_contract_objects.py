"""What every cluster adapter must do (ports.Cluster), second part: single objects, read and written.

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
    """A created object has a uid and a resource version, and is found as it was returned."""
    cluster = bed.connect()
    document = config_map("one", bed.namespace(), multi="line one\nline two\n", odd="yes", empty="")

    created = cluster.create(document)

    assert created["metadata"]["uid"]
    assert created["metadata"]["resourceVersion"]
    assert created["data"] == document["data"]
    assert bed.connect().get(ObjectKey.of(document)) == created


def test_create_ignores_a_uid(bed: Bed) -> None:
    """An object that comes back is a new one, whatever uid the document still has."""
    cluster = bed.connect()
    document = config_map("one", bed.namespace())
    document["metadata"]["uid"] = "00000000-0000-0000-0000-000000000001"

    assert cluster.create(document)["metadata"]["uid"] != document["metadata"]["uid"]


def test_what_is_returned_belongs_to_the_caller(bed: Bed) -> None:
    """Changing an answer changes nothing in the cluster."""
    cluster = bed.connect()
    key = ObjectKey.of(cluster.create(config_map("one", bed.namespace())))

    cluster.get(key)["data"]["text"] = "changed"
    next(cluster.list(served(cluster, CONFIG_MAP), namespace=key.namespace)).items[0]["data"]["text"] = "changed"

    assert cluster.get(key)["data"]["text"] == "one"


def test_get_what_is_not_there(bed: Bed) -> None:
    """A missing object is not a missing kind."""
    cluster = bed.connect()

    for key in (ObjectKey(CONFIG_MAP, "default", "absent"), ObjectKey(CLUSTER_PROFILE, "", "absent")):
        with pytest.raises(NotFoundError) as caught:
            cluster.get(key)
        assert not isinstance(caught.value, KindNotInstalledError)
        assert "absent" in str(caught.value)


def test_create_what_is_there(bed: Bed) -> None:
    """Creating over an object is refused as such."""
    cluster = bed.connect()
    document = config_map("one", bed.namespace())
    cluster.create(document)

    with pytest.raises(AlreadyExistsError):
        cluster.create(document)


def test_create_in_a_namespace_that_is_not_there(bed: Bed) -> None:
    """The namespace is what is not found, and not the kind."""
    with pytest.raises(NotFoundError, match="absent") as caught:
        bed.connect().create(config_map("one", "absent"))
    assert not isinstance(caught.value, KindNotInstalledError)


def test_create_with_a_resource_version(bed: Bed) -> None:
    """A resource version on a new object is a mistake of the caller."""
    document = config_map("one", bed.namespace())
    document["metadata"]["resourceVersion"] = "1"

    with pytest.raises(RejectedError):
        bed.connect().create(document)


def test_update(bed: Bed) -> None:
    """An update replaces the object, and gives it a new resource version and no new uid."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace(), gone="x"))

    updated = cluster.update(live | {"data": {"text": "two"}})

    assert updated["data"] == {"text": "two"}
    assert updated["metadata"]["uid"] == live["metadata"]["uid"]
    assert updated["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]
    assert bed.connect().get(ObjectKey.of(live)) == updated


def test_update_that_changes_nothing(bed: Bed) -> None:
    """It makes no new resource version."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))

    assert cluster.update(live) == live


def test_update_of_an_object_that_moved(bed: Bed) -> None:
    """Somebody else's change is a conflict, not overwritten."""
    cluster, other = bed.connect(), bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))
    other.update(other.get(ObjectKey.of(live)) | {"data": {"text": "theirs"}})

    with pytest.raises(ConflictError):
        cluster.update(live | {"data": {"text": "mine"}})

    assert bed.connect().get(ObjectKey.of(live))["data"] == {"text": "theirs"}


def test_update_of_an_object_that_was_made_anew(bed: Bed) -> None:
    """The same name with another uid is another object, even with the right resource version."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))
    cluster.delete(ObjectKey.of(live), uid=live["metadata"]["uid"])
    anew = cluster.create(config_map("one", live["metadata"]["namespace"]))
    document = anew | {"metadata": anew["metadata"] | {"uid": live["metadata"]["uid"]}, "data": {"text": "mine"}}

    with pytest.raises(ConflictError):
        cluster.update(document)

    assert bed.connect().get(ObjectKey.of(live)) == anew


@pytest.mark.parametrize("field_name", ["uid", "resourceVersion"])
def test_update_without_preconditions(bed: Bed, field_name: str) -> None:
    """An update that does not say what it replaces is refused, also where a server would overwrite."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))
    metadata = {name: value for name, value in live["metadata"].items() if name != field_name}

    with pytest.raises(RejectedError, match=field_name):
        cluster.update(live | {"metadata": metadata, "data": {"text": "two"}})


def test_update_of_what_is_not_there(bed: Bed) -> None:
    """An update never creates."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))
    cluster.delete(ObjectKey.of(live), uid=live["metadata"]["uid"])

    with pytest.raises((NotFoundError, ConflictError)):
        cluster.update(live | {"data": {"text": "two"}})

    assert names(bed.connect(), CONFIG_MAP, namespace=live["metadata"]["namespace"]) == []


def test_patch(bed: Bed) -> None:
    """A merge patch sets what it names, removes what it names with null, and leaves the rest."""
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
    """Uid and resource version in a patch are preconditions."""
    cluster = bed.connect()
    live = cluster.create(config_map("one", bed.namespace()))

    with pytest.raises(ConflictError):
        cluster.patch(ObjectKey.of(live), {"metadata": stale, "data": {"text": "two"}})
    fresh = {field_name: live["metadata"][field_name] for field_name in ("uid", "resourceVersion")}

    assert cluster.patch(ObjectKey.of(live), {"metadata": fresh, "data": {"text": "2"}})["data"] == {"text": "2"}


def test_patch_of_what_is_not_there(bed: Bed) -> None:
    """A patch never creates."""
    with pytest.raises(NotFoundError):
        bed.connect().patch(ObjectKey(CONFIG_MAP, "default", "absent"), {"data": {"a": "b"}})


def test_delete(bed: Bed) -> None:
    """What was deleted is gone, for everybody."""
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
    """An object that moved, or was made anew, is not deleted."""
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
    """A dry run answers as the write would, fails as the write would, and leaves everything as it was."""
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


def test_create_again_after_the_last_one_was_deleted(bed: Bed) -> None:
    """A kind stays served when its last object goes."""
    cluster = bed.connect()
    live = cluster.create(profile("one"))
    cluster.delete(ObjectKey.of(live), uid=live["metadata"]["uid"])

    assert cluster.create(profile("one"))["metadata"]["uid"] != live["metadata"]["uid"]


# What a server does to objects


def test_status_is_not_written(bed: Bed) -> None:
    """Where status is a subresource, create, update and patch leave it alone."""
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
    """It is merged into data, encoded, and never read back."""
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
    """It is refused in a way that names the field and no value."""
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
    """Data of an immutable ConfigMap or Secret cannot change, its labels can."""
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


def test_an_object_in_the_wrong_scope(bed: Bed) -> None:
    """A namespaced object without a namespace cannot be written."""
    document = config_map("one", "x")
    del document["metadata"]["namespace"]

    with pytest.raises((RejectedError, NotFoundError)):
        bed.connect().create(document)


# Who may do it


def test_a_reader_cannot_write(bed: Bed) -> None:
    """Every write that is not allowed is AccessDeniedError, dry or not, and changes nothing."""
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
    """What one connection wrote, another one can go on from."""
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


_NO_TEXTS = [5, True, 1.5, ["a"], {"a": "b"}]


@pytest.mark.parametrize("field", ["data", "binaryData", "stringData", "labels", "annotations", "name"])
def test_fields_that_hold_text_take_nothing_else(bed: Bed, field: str) -> None:
    """A number, a boolean, a list or a map is refused; what was there stays."""
    cluster = bed.connect()
    kind = "Secret" if field == "stringData" else "ConfigMap"
    for number, value in enumerate(_NO_TEXTS):
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
def test_maps_of_texts_take_nothing_else(bed: Bed, value: object) -> None:
    """Where a map of texts belongs, nothing else is taken."""
    document = config_map("one", bed.namespace()) | {"data": value}

    with pytest.raises(RejectedError):
        bed.connect().create(document)


def test_null_is_the_empty_text(bed: Bed) -> None:
    """A server reads null so where it wants text."""
    cluster = bed.connect()
    document = config_map("one", bed.namespace()) | {"data": {"k": None}}
    document["metadata"]["labels"] = {"l": None}

    created = cluster.create(document)

    assert created["data"] == {"k": ""}
    assert created["metadata"]["labels"] == {"l": ""}
