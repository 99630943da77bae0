"""Sparse deep learning on CPUs."""
