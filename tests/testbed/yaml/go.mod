// Pins the YAML library that Kubernetes, Helm and Sveltos read with, in the version of ../build/go.mod.
// A module of its own: what is pinned here leaves the API server, which takes minutes to build, as it is.
module gitsnap.test/yaml

go 1.26.0

require sigs.k8s.io/yaml v1.6.0

require go.yaml.in/yaml/v2 v2.4.4 // indirect
