"""From a plan to Python source to a compiled kernel; the SIMD vocabulary that kernels are written in."""
