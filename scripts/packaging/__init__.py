"""Builds what gitsnap is installed from: wheel, image, archives, manifests, SBOM and checksums (scripts/release)."""
