"""The matrices that are measured, generated from a seed or read from a folder of real data."""

from .catalog import Matrix, data_folder, load, matrices

__all__ = ["Matrix", "data_folder", "load", "matrices"]
