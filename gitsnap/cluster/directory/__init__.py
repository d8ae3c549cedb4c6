"""A cluster made of a folder of YAML files, as `kubectl get -o yaml` prints them."""
