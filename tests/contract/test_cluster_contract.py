"""Contract of cluster adapters (ports.Cluster), part 1: identity, served kinds and lists.

The same tests run on a real API server and on a folder of YAML files.
"""

from __future__ import annotations

import pytest

from gitsnap.core.errors import GoneError, KindNotInstalledError, RejectedError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.ports import Page
from gitsnap.sveltos.kinds import CAPI_CLUSTER, CLUSTER_PROFILE, CONFIG_MAP, EVENT_TRIGGER, PROFILE, SECRET
from tests.support.beds import NAMESPACE, UNKNOWN, Bed, config_map, names, profile, served

# Identity and kinds


def test_identity_is_the_uid_of_kube_system(bed: Bed) -> None:
    """The identity of a cluster is the uid of its kube-system namespace, for all connections."""
    first, second = bed.connect(), bed.connect()

    uid = first.get(ObjectKey(NAMESPACE, "", "kube-system"))["metadata"]["uid"]

    assert uid
    assert first.info().uid == second.info().uid == uid


@pytest.mark.parametrize(
    ("kind", "plural", "namespaced"),
    [
        (CONFIG_MAP, "configmaps", True),
        (NAMESPACE, "namespaces", False),
        (CLUSTER_PROFILE, "clusterprofiles", False),
        (PROFILE, "profiles", True),
        (CAPI_CLUSTER, "clusters", True),
        (Kind("networking.k8s.io", "NetworkPolicy"), "networkpolicies", True),
        (Kind("rbac.authorization.k8s.io", "ClusterRole"), "clusterroles", False),
    ],
)
def test_served_kinds(bed: Bed, kind: Kind, plural: str, namespaced: bool) -> None:  # noqa: FBT001 - a parameter set
    """A kind is served under its plural name and in its scope, even if no object of the kind exists."""
    resource = served(bed.connect(), kind)

    assert (resource.kind, resource.plural, resource.namespaced) == (kind, plural, namespaced)


def test_a_kind_that_is_not_installed(bed: Bed) -> None:
    """An unknown kind has no resource type. Reads and writes of its objects report that the kind is missing."""
    cluster = bed.connect()
    key = ObjectKey(UNKNOWN, "default", "one")
    document = {"apiVersion": "gitsnap.test/v1", "kind": "Unknown", "metadata": {"name": "one", "namespace": "default"}}

    assert cluster.resource_type(UNKNOWN) is None
    assert cluster.resource_type(Kind(CLUSTER_PROFILE.group, "Nonsense")) is None
    with pytest.raises(KindNotInstalledError):
        cluster.get(key)
    with pytest.raises(KindNotInstalledError):
        cluster.create(document)
    with pytest.raises(KindNotInstalledError):
        cluster.delete(key, uid="x")


# Lists


def test_an_empty_list_is_one_empty_page(bed: Bed) -> None:
    """A list always has at least one page, because a page contains the resource version."""
    cluster = bed.connect()

    pages = list(cluster.list(served(cluster, EVENT_TRIGGER)))

    assert [list(page.items) for page in pages] == [[]]
    assert pages[0].resource_version


@pytest.mark.usefixtures("small_pages")
def test_paging(bed: Bed) -> None:
    """Pages contain each object once, sorted by namespace and name. All pages have the same resource version."""
    cluster = bed.connect()
    namespaces = sorted((bed.namespace(), bed.namespace()))
    for name in ("b", "a", "d", "c"):
        for namespace in reversed(namespaces):
            cluster.create(config_map(name, namespace))

    pages = [page for page in cluster.list(served(cluster, CONFIG_MAP)) if page.items]
    keys = [ObjectKey.of(item) for page in pages for item in page.items]
    listed = [(key.namespace, key.name) for key in keys if key.namespace in namespaces]

    assert listed == [(namespace, name) for namespace in namespaces for name in "abcd"]
    assert all(len(page.items) <= 3 for page in pages)
    assert len({page.resource_version for page in pages}) == 1


@pytest.mark.usefixtures("small_pages")
def test_a_list_shows_one_moment(bed: Bed) -> None:
    """A later page does not contain writes that follow the first page."""
    cluster, other = bed.connect(), bed.connect()
    namespace = bed.namespace()
    for name in "abcde":
        cluster.create(config_map(name, namespace))

    pages = cluster.list(served(cluster, CONFIG_MAP), namespace=namespace)
    items = list(next(pages).items)
    live = other.get(ObjectKey(CONFIG_MAP, namespace, "d"))
    other.patch(ObjectKey.of(live), {"data": {"text": "two"}})
    other.create(config_map("da", namespace))
    items += [item for page in pages for item in page.items]

    assert [(item["metadata"]["name"], item["data"]["text"]) for item in items] == [(name, "one") for name in "abcde"]


def test_items_have_api_version_and_kind(bed: Bed) -> None:
    """Each item has apiVersion and kind, although API servers omit both in lists of core kinds."""
    cluster = bed.connect()
    cluster.create(config_map("one", bed.namespace()))
    cluster.create(profile("one"))

    for kind in (CONFIG_MAP, CLUSTER_PROFILE):
        resource = served(cluster, kind)
        items = [item for page in cluster.list(resource) for item in page.items]
        assert items
        assert {(item["apiVersion"], item["kind"]) for item in items} == {(resource.api_version, kind.name)}


def _metadata(pages: list[Page]) -> list[tuple[str, str, JsonObject]]:
    return [(item["apiVersion"], item["kind"], item["metadata"]) for page in pages for item in page.items]


@pytest.mark.usefixtures("small_pages")
def test_metadata_lists(bed: Bed) -> None:
    """A metadata list has the same objects and versions. A page of whole objects is marked as such."""
    cluster = bed.connect()
    namespace = bed.namespace()
    for name in "abcd":
        cluster.create(config_map(name, namespace, labels={"name": name}))
    cluster.create(profile("one"))

    for kind in (CONFIG_MAP, CLUSTER_PROFILE, EVENT_TRIGGER):
        resource = served(cluster, kind)
        version = next(cluster.list(resource)).resource_version
        pages = list(cluster.list(resource, resource_version=version, metadata_only=True))
        assert _metadata(pages) == _metadata(list(cluster.list(resource, resource_version=version)))
        assert {page.resource_version for page in pages} == {version}
        assert all(page.whole or not {"spec", "data"} & item.keys() for page in pages for item in page.items)
    selected = cluster.list(
        served(cluster, CONFIG_MAP), namespace=namespace, label_selector="name=c", metadata_only=True
    )
    assert [item["metadata"]["name"] for page in selected for item in page.items] == ["c"]


def test_lists_of_a_namespace(bed: Bed) -> None:
    """A list of a namespace contains no object of another namespace."""
    cluster = bed.connect()
    here, there = bed.namespace(), bed.namespace()
    cluster.create(config_map("here", here))
    cluster.create(config_map("there", there))

    assert names(cluster, CONFIG_MAP, namespace=here) == ["here"]
    assert names(cluster, CONFIG_MAP, namespace="no-such-namespace") == []


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("env=prod", ["a", "b"]),
        ("env==prod,tier=web", ["a"]),
        ("env!=prod", ["c", "d"]),
        ("env in (prod,test)", ["a", "b", "c"]),
        ("env in (prod), tier notin (web)", ["b"]),
        ("env notin(prod)", ["c", "d"]),
        ("tier", ["a", "b"]),
        ("!tier", ["c", "d"]),
        ("env", ["a", "b", "c"]),
        ("replicas>2", ["c"]),
        ("replicas<3", ["b"]),
        ("empty=", ["d"]),
        ("gitsnap.io/long-name=x.y_z-1", ["d"]),
    ],
)
def test_label_selectors(bed: Bed, selector: str, expected: list[str]) -> None:
    """All adapters evaluate label selectors in the same way, including set-based selectors and absent labels."""
    cluster = bed.connect()
    namespace = bed.namespace()
    labels = {
        "a": {"env": "prod", "tier": "web"},
        "b": {"env": "prod", "tier": "db", "replicas": "2"},
        "c": {"env": "test", "replicas": "10"},
        "d": {"empty": "", "gitsnap.io/long-name": "x.y_z-1"},
    }
    for name, values in labels.items():
        cluster.create(config_map(name, namespace, labels=values))

    assert names(cluster, CONFIG_MAP, namespace=namespace, label_selector=selector) == expected


@pytest.mark.parametrize("selector", ["a b", "=x", "a=b=c", "a in b", "a,", "a in (b", "a>x"])
def test_an_invalid_label_selector(bed: Bed, selector: str) -> None:
    """An invalid selector is refused. An empty list would hide the mistake."""
    cluster = bed.connect()

    with pytest.raises(RejectedError):
        names(cluster, CONFIG_MAP, label_selector=selector)


def test_field_selectors(bed: Bed) -> None:
    """Field selectors support name and namespace, and for Secrets the type."""
    cluster = bed.connect()
    here, there = bed.namespace(), bed.namespace()
    for namespace in (here, there):
        cluster.create(config_map("one", namespace))
    cluster.create(config_map("two", here))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": here}, "data": {}}
    cluster.create(secret | {"metadata": {"name": "typed", "namespace": here}, "type": "gitsnap.test/own"})
    cluster.create(secret | {"metadata": {"name": "plain", "namespace": here}})
    cluster.create(profile("one"))
    cluster.create(profile("two"))

    assert names(cluster, CONFIG_MAP, field_selector="metadata.name=one") == ["one", "one"]
    assert names(cluster, CONFIG_MAP, namespace=here, field_selector="metadata.name=one") == ["one"]
    assert names(cluster, CONFIG_MAP, field_selector=f"metadata.name=one,metadata.namespace={there}") == ["one"]
    assert names(cluster, CONFIG_MAP, namespace=here, field_selector="metadata.name!=one") == ["two"]
    assert names(cluster, CLUSTER_PROFILE, field_selector="metadata.name=two") == ["two"]
    assert names(cluster, SECRET, field_selector="type=gitsnap.test/own") == ["typed"]
    assert names(cluster, SECRET, namespace=here, field_selector="type=Opaque") == ["plain"]


def test_an_unsupported_field_selector(bed: Bed) -> None:
    """A field selector with any other field is refused."""
    cluster = bed.connect()

    for selector in ("data.text=one", "type=Opaque", "metadata.name"):
        with pytest.raises(RejectedError):
            names(cluster, CONFIG_MAP, field_selector=selector)


def test_lists_at_one_version(bed: Bed) -> None:
    """Lists of several kinds can be read at the resource version of the first list, also with a field selector."""
    cluster = bed.connect()
    namespace = bed.namespace()
    cluster.create(config_map("one", namespace))
    cluster.create(profile("one"))
    version = next(cluster.list(served(cluster, CLUSTER_PROFILE))).resource_version

    for kind, selector in ((CLUSTER_PROFILE, ""), (CONFIG_MAP, ""), (CONFIG_MAP, "metadata.name=one"), (PROFILE, "")):
        pages = list(cluster.list(served(cluster, kind), field_selector=selector, resource_version=version))
        assert {page.resource_version for page in pages} == {version}
    assert names(cluster, CONFIG_MAP, namespace=namespace, resource_version=version) == ["one"]


def test_an_expired_version(bed: Bed) -> None:
    """A resource version that the cluster no longer has is GoneError, so that the caller can list the current state."""
    cluster = bed.connect()
    resource, version = bed.gone_version(cluster)

    with pytest.raises(GoneError):
        list(cluster.list(resource, resource_version=version))


def test_a_future_version(bed: Bed) -> None:
    """A future resource version is GoneError, too."""
    cluster = bed.connect()

    with pytest.raises(GoneError):
        list(cluster.list(served(cluster, CONFIG_MAP), resource_version="99999999"))
