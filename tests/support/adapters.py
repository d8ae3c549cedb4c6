"""Clusters as the command line opens them: with the kinds that gitsnap knows."""

from functools import partial

from gitsnap import cluster
from gitsnap.sveltos.kinds import BY_KIND

connect = partial(cluster.connect, known_kinds=BY_KIND)
open_directory = partial(cluster.open_directory, known_kinds=BY_KIND)
