"""The benchmarks of Scorch: an airspeed velocity suite, and `python -m asv_benchmarks.compare`."""
