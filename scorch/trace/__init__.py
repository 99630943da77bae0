"""`@scorch.compile`: functions run as they are written, with their sparse operations put off and fused."""

from scorch.trace.compile import compile
from scorch.trace.explain import explain

__all__ = ["compile", "explain"]
