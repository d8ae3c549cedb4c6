"""The archive format, version 1: paths, bytes of objects, texts of tags and commits (docs/FORMAT.md).

Every release reads the archives of all earlier releases. This package does no I/O, and must not know git, a cluster, or
the meaning of objects.
"""

from gitsnap.format.constants import (
    ATTRIBUTES,
    ATTRIBUTES_FILE,
    CLUSTER_SCOPED,
    FORMAT,
    README,
    README_FILE,
    TREE_INFO_FILE,
    UNRESOLVED_FILE,
    WRAPPED_KEY_FILE,
)
from gitsnap.format.forgotten import (
    forgotten_from_bytes,
    forgotten_lines,
    forgotten_to_bytes,
    parse_forgotten,
)
from gitsnap.format.paths import file_of, key_of, kind_folder, path_of, shown_key
from gitsnap.format.prune_record import (
    PrunedSample,
    PruneRecord,
    prune_record_from_bytes,
    prune_record_to_bytes,
    pruned_count,
    pruned_text,
)
from gitsnap.format.rollback_record import Result, RollbackRecord, parse_record, record_lines
from gitsnap.format.sample_text import (
    check_branch,
    commit_message,
    is_tag_of,
    parse_tag_message,
    tag_message,
    tag_name,
)
from gitsnap.format.tree_info import branch_in_tree_info, tree_info_from_bytes, tree_info_to_bytes
from gitsnap.format.yaml.emitter import encode
from gitsnap.format.yaml.reader import (
    decode,
    decode_object,
    iterate_documents,
    line_of,
    load_document,
    load_documents,
)

__all__ = [
    "ATTRIBUTES",
    "ATTRIBUTES_FILE",
    "CLUSTER_SCOPED",
    "FORMAT",
    "README",
    "README_FILE",
    "TREE_INFO_FILE",
    "UNRESOLVED_FILE",
    "WRAPPED_KEY_FILE",
    "PruneRecord",
    "PrunedSample",
    "Result",
    "RollbackRecord",
    "branch_in_tree_info",
    "check_branch",
    "commit_message",
    "decode",
    "decode_object",
    "encode",
    "file_of",
    "forgotten_from_bytes",
    "forgotten_lines",
    "forgotten_to_bytes",
    "is_tag_of",
    "iterate_documents",
    "key_of",
    "kind_folder",
    "line_of",
    "load_document",
    "load_documents",
    "parse_forgotten",
    "parse_record",
    "parse_tag_message",
    "path_of",
    "prune_record_from_bytes",
    "prune_record_to_bytes",
    "pruned_count",
    "pruned_text",
    "record_lines",
    "shown_key",
    "tag_message",
    "tag_name",
    "tree_info_from_bytes",
    "tree_info_to_bytes",
]
