"""A cluster behind the Kubernetes API, through the kubernetes client."""
