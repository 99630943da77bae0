"""The Array API standard, 2024.12, over dense and sparse arrays.

Arrays are scorch.Tensors: `asarray` makes a dense one of numbers and keeps a sparse tensor sparse. What is sparse stays
sparse; a function f with f(0) != 0 gives a sparse array whose fill is f(0). docs/array_api.md lists what there is.

>>> import scorch
>>> from scorch import array_api as xp
>>> A = xp.asarray(scorch.eye(3) * 4)
>>> xp.sqrt(A).nnz, xp.exp(A).fill, xp.sum(A, axis=0).to_dense()
(3, 1.0, tensor([4., 4., 4.]))
"""

from scorch.array_api import constants, creation, elementwise, manipulation, statistical, types
from scorch.array_api.array import Array

__array_api_version__ = "2024.12"

__all__ = ["Array", "__array_api_version__"]

for _part in (constants, creation, elementwise, manipulation, statistical, types):
    globals().update({name: getattr(_part, name) for name in _part.__all__})
    __all__ += _part.__all__
