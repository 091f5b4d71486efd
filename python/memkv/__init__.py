"""Ordered maps of byte strings in less memory than the keys themselves.

* :class:`FrozenLayer`: an immutable mapping in a compressed file.
* :class:`LayerSet`: one in a folder of such files.
* :class:`Map`, :class:`Set`: changing ones in memory, which threads share.
* :class:`Store`: a changing one in a folder, durable.

Keys are byte strings, in the order of their bytes. Arguments may be ``bytes`` or ``str``, which
means its UTF-8; what comes out is ``bytes``, or ``str`` with ``keys="str"``.
"""

import os
from collections.abc import Mapping, MutableMapping

from memkv._memkv import (
    Array,
    Batches,
    BuildInfo,
    DamagedError,
    FrozenLayer,
    InUseError,
    LayerSet,
    Map,
    SetPart,
    Store,
    _after_fork,
    _before_fork,
)
from memkv._views import Set

__all__ = [
    "Array",
    "Batches",
    "BuildInfo",
    "DamagedError",
    "FrozenLayer",
    "InUseError",
    "LayerSet",
    "Map",
    "Set",
    "SetPart",
    "Store",
]
__version__ = "0.1.0"

Mapping.register(FrozenLayer)
Mapping.register(LayerSet)
MutableMapping.register(Map)
MutableMapping.register(Store)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
