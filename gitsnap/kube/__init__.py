"""Rules of Kubernetes itself: the fields that servers fill in, and label selectors."""
