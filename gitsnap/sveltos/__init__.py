"""The rules of Sveltos: its kinds, references, matching of clusters, source documents, inventory and generated objects.

The facts are tables, one for each subject, so that a new version of Sveltos needs new rows and no new code.
docs/SVELTOS.md shows the tables.
This package does no I/O. Of its modules, only ``tree_view`` knows the paths of an archived tree.
"""
