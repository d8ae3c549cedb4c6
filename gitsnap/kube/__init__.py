"""Rules of Kubernetes itself: fields that servers fill in, and label selectors. Knows nothing of Sveltos."""
