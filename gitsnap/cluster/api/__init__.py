"""A cluster behind the Kubernetes API. The only package that imports the kubernetes client."""
