"""Keys and encryption of an archive's Secrets: age identities, fingerprint keys, sealing, rotation."""
