"""A folder of YAML files, as `kubectl get -o yaml` prints them, as a cluster."""
