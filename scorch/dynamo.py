"""A mend of torch.compile: `A @ x` with a sparse A reaches Scorch with its operands in the right order.

For a left operand that is no torch.Tensor, dynamo swaps the operands and looks for the reflected operator; its table
has none for `@` (torch 2.13), so that `A @ x` arrives as `x @ A`: wrong numbers on square matrices. The missing entry
is added when dynamo is imported, since importing it takes seconds that most processes never need.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch

__all__ = ["is_mended", "mend_when_imported"]

_MODULE = "torch._dynamo.variables.builtin"
_KNOWN = "2.13."  # another version may have the entry, or other names; `A @ x` is refused there


def is_mended() -> bool:
    """Whether `A @ x` keeps its order while torch traces."""
    return torch.__version__.startswith(_KNOWN)


def mend_when_imported() -> None:
    """Mend dynamo now if it is there, else when it is imported."""
    if not is_mended():
        return
    if _MODULE in sys.modules:
        _mend(sys.modules[_MODULE])
    elif not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())


class _Watcher(MetaPathFinder):
    """Stands in front of all finders until the one module is asked for."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _mend(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _mend(module: Any) -> None:
    """Let the function that fills dynamo's tables fill in the reflected `@` too."""
    populate = module.populate_builtin_to_tensor_fn_map

    def populate_with_matmul() -> None:
        populate()
        module.BUILTIN_TO_TENSOR_RFN_MAP[operator.matmul] = torch.Tensor.__rmatmul__

    module.populate_builtin_to_tensor_fn_map = populate_with_matmul
