"""Benchmarks for airspeed velocity: `asv run --python=same --quick`.

Set SCORCH_DATA to a folder of real data to have real matrices among the parameters.
"""
