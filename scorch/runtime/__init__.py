"""Running kernels: binding arrays, dividing work, threads and fork, sorting, diagnosis."""
