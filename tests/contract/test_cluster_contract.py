"""What every cluster adapter must do (ports.Cluster), first part: what it is, which kinds it serves, lists.

The same tests run on a real API server and on a folder of YAML files.
"""

from __future__ import annotations

import pytest

from gitsnap.core.errors import GoneError, KindNotInstalledError, RejectedError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.ports import Page
from gitsnap.sveltos.kinds import CAPI_CLUSTER, CLUSTER_PROFILE, CONFIG_MAP, EVENT_TRIGGER, PROFILE, SECRET
from tests.support.beds import NAMESPACE, UNKNOWN, Bed, config_map, names, profile, served

# What it is


def test_identity_is_the_uid_of_kube_system(bed: Bed) -> None:
    """Whoever connects, however often: the cluster is known by the uid of its kube-system namespace."""
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
    """A kind is served under its plural name, in its scope, whether or not there is an object of it."""
    resource = served(bed.connect(), kind)

    assert (resource.kind, resource.plural, resource.namespaced) == (kind, plural, namespaced)


def test_a_kind_that_is_not_installed(bed: Bed) -> None:
    """An unknown kind has no resource type; reading or writing one says that the kind is missing."""
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


def test_a_list_of_nothing_is_one_empty_page(bed: Bed) -> None:
    """There is always a page: it carries the resource version."""
    cluster = bed.connect()

    pages = list(cluster.list(served(cluster, EVENT_TRIGGER)))

    assert [list(page.items) for page in pages] == [[]]
    assert pages[0].resource_version


@pytest.mark.usefixtures("small_pages")
def test_paging(bed: Bed) -> None:
    """All objects come, once, by namespace and name, in pages of one and the same resource version."""
    cluster = bed.connect()
    places = sorted((bed.namespace(), bed.namespace()))
    for name in ("b", "a", "d", "c"):
        for namespace in reversed(places):
            cluster.create(config_map(name, namespace))

    pages = [page for page in cluster.list(served(cluster, CONFIG_MAP)) if page.items]
    found = [(one["metadata"]["namespace"], one["metadata"]["name"]) for page in pages for one in page.items]

    assert [one for one in found if one[0] in places] == [(place, name) for place in places for name in "abcd"]
    assert all(len(page.items) <= 3 for page in pages)
    assert len({page.resource_version for page in pages}) == 1


@pytest.mark.usefixtures("small_pages")
def test_a_list_shows_one_moment(bed: Bed) -> None:
    """What is written between two pages does not show in the later one."""
    cluster, other = bed.connect(), bed.connect()
    namespace = bed.namespace()
    for name in "abcde":
        cluster.create(config_map(name, namespace))

    pages = cluster.list(served(cluster, CONFIG_MAP), namespace=namespace)
    found = list(next(pages).items)
    live = other.get(ObjectKey(CONFIG_MAP, namespace, "d"))
    other.patch(ObjectKey.of(live), {"data": {"text": "two"}})
    other.create(config_map("da", namespace))
    found += [one for page in pages for one in page.items]

    assert [(one["metadata"]["name"], one["data"]["text"]) for one in found] == [(name, "one") for name in "abcde"]


def test_items_say_what_they_are(bed: Bed) -> None:
    """Every item carries apiVersion and kind, which servers leave out of lists of core kinds."""
    cluster = bed.connect()
    cluster.create(config_map("one", bed.namespace()))
    cluster.create(profile("one"))

    for kind in (CONFIG_MAP, CLUSTER_PROFILE):
        resource = served(cluster, kind)
        items = [one for page in cluster.list(resource) for one in page.items]
        assert items
        assert {(one["apiVersion"], one["kind"]) for one in items} == {(resource.api_version, kind.name)}


def _metadata(pages: list[Page]) -> list[tuple[str, str, JsonObject]]:
    return [(one["apiVersion"], one["kind"], one["metadata"]) for page in pages for one in page.items]


@pytest.mark.usefixtures("small_pages")
def test_metadata_may_be_all_that_is_asked_for(bed: Bed) -> None:
    """Whoever needs no more gets the same objects and versions; a cluster that sends them whole says so."""
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
        assert all(page.whole or not {"spec", "data"} & one.keys() for page in pages for one in page.items)
    selected = cluster.list(
        served(cluster, CONFIG_MAP), namespace=namespace, label_selector="name=c", metadata_only=True
    )
    assert [one["metadata"]["name"] for page in selected for one in page.items] == ["c"]


def test_namespace_narrows_a_list(bed: Bed) -> None:
    """A list of one namespace has nothing of another."""
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
    """Selectors mean the same everywhere, set-based ones and absent labels too."""
    cluster = bed.connect()
    namespace = bed.namespace()
    labels = {
        "a": {"env": "prod", "tier": "web"},
        "b": {"env": "prod", "tier": "db", "replicas": "2"},
        "c": {"env": "test", "replicas": "10"},
        "d": {"empty": "", "gitsnap.io/long-name": "x.y_z-1"},
    }
    for name, one in labels.items():
        cluster.create(config_map(name, namespace, labels=one))

    assert names(cluster, CONFIG_MAP, namespace=namespace, label_selector=selector) == expected


@pytest.mark.parametrize("selector", ["a b", "=x", "a=b=c", "a in b", "a,", "a in (b", "a>x"])
def test_a_label_selector_that_is_none(bed: Bed, selector: str) -> None:
    """What cannot be a selector is refused, not taken for one that selects nothing."""
    cluster = bed.connect()

    with pytest.raises(RejectedError):
        names(cluster, CONFIG_MAP, label_selector=selector)


def test_field_selectors(bed: Bed) -> None:
    """Objects can be listed by name and namespace, Secrets by their type."""
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


def test_a_field_that_cannot_be_selected_by(bed: Bed) -> None:
    """Selecting by any other field is refused."""
    cluster = bed.connect()

    for selector in ("data.text=one", "type=Opaque", "metadata.name"):
        with pytest.raises(RejectedError):
            names(cluster, CONFIG_MAP, field_selector=selector)


def test_lists_at_one_version(bed: Bed) -> None:
    """Lists of several kinds can be read at the version of the first; named lists too."""
    cluster = bed.connect()
    namespace = bed.namespace()
    cluster.create(config_map("one", namespace))
    cluster.create(profile("one"))
    version = next(cluster.list(served(cluster, CLUSTER_PROFILE))).resource_version

    for kind, selector in ((CLUSTER_PROFILE, ""), (CONFIG_MAP, ""), (CONFIG_MAP, "metadata.name=one"), (PROFILE, "")):
        pages = list(cluster.list(served(cluster, kind), field_selector=selector, resource_version=version))
        assert {page.resource_version for page in pages} == {version}
    assert names(cluster, CONFIG_MAP, namespace=namespace, resource_version=version) == ["one"]


def test_a_version_that_is_gone(bed: Bed) -> None:
    """What the cluster has forgotten is an error of its own: the caller may ask for the present."""
    cluster = bed.connect()
    resource, version = bed.gone_version(cluster)

    with pytest.raises(GoneError):
        list(cluster.list(resource, resource_version=version))


def test_a_version_that_is_not_there_yet(bed: Bed) -> None:
    """A version from the future is the same error."""
    cluster = bed.connect()

    with pytest.raises(GoneError):
        list(cluster.list(served(cluster, CONFIG_MAP), resource_version="99999999"))
