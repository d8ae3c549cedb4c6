"""Keys and encryption of the Secrets in an archive: age identities, fingerprint keys, sealing, rotation."""
