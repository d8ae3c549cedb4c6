"""What Sveltos means: its kinds, references, matching of clusters, source documents, inventory, and generated objects.

The facts are data, one table for each subject, so that a new version of Sveltos is a new row.
This package must not do I/O. Of its modules, only ``tree_view`` knows the paths of an archived tree.
"""
