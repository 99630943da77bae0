"""The matrices and tensors that are measured, generated from a seed or read from a folder of real data."""

from .catalog import Matrix, data_folder, load, matrices, tensors

__all__ = ["Matrix", "data_folder", "load", "matrices", "tensors"]
