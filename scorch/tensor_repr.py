"""How a Tensor shows itself: one line in a terminal, a small table in a notebook."""

from __future__ import annotations

from html import escape

from scorch.exchange import stored_order
from scorch.formats import Storage
from scorch.formats.memory import bytes_text

__all__ = ["as_html", "as_text", "bytes_text", "density"]

_SHOWN = 6


def density(storage: Storage) -> float:
    """Stored values per place; 0 for a tensor without places."""
    size = storage.pattern.size
    return storage.pattern.nnz / size if size else 0.0


def _values_text(storage: Storage) -> str:
    values = stored_order(storage).detach()
    shown = [_number_text(value) for value in values[:_SHOWN].tolist()]
    return f"[{', '.join(shown)}{', ...' if len(values) > _SHOWN else ''}]"


def _number_text(value: bool | int | float | complex) -> str:
    return f"{value:.4g}" if isinstance(value, float | complex) else str(value)


def _facts(storage: Storage) -> dict[str, str]:
    pattern = storage.pattern
    facts = {
        "shape": str(pattern.shape),
        "format": str(pattern.format),
        "dtype": storage.dtype,
        "nnz": str(pattern.nnz),
        "density": f"{density(storage):.3g}",
        "memory": bytes_text(pattern.nbytes + storage.values.numel() * storage.values.element_size()),
    }
    if storage.fill != 0:
        facts["fill"] = str(storage.fill)
    if storage.values.requires_grad:
        facts["requires_grad"] = "True"
    facts["values"] = _values_text(storage)
    return facts


def as_text(storage: Storage) -> str:
    """Shape, format, number type, counts and the first values on one line."""
    return f"scorch.Tensor({', '.join(f'{name}={text}' for name, text in _facts(storage).items())})"


def as_html(storage: Storage) -> str:
    """The same facts as a table of two columns."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{name}</th><td style='text-align:left'>{escape(text)}</td></tr>"
        for name, text in _facts(storage).items()
    )
    return f"<table><caption>scorch.Tensor</caption>{rows}</table>"
