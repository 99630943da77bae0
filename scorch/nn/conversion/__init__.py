"""From a dense model with zeros in its weights to one with sparse layers."""

from scorch.nn.conversion.convert import convert
from scorch.nn.conversion.report import Conversion, LayerReport

__all__ = ["Conversion", "LayerReport", "convert"]
