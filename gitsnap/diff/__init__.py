"""Two configurations -> sorted changes: rows for each managed cluster, rows for the management cluster, raw diffs.

``comparison.compare`` is the entry. It reads trees and nothing else, so the same two trees always give the same rows.
No row and no raw diff contains a value of a Secret.
"""
