"""What `scorch demo` computes: the matrices, the operations, their rivals, the checks and the measuring.

Nothing here prints; `scorch.commands.demo` does.
"""

from scorch.demo.bystanders import Bystanders
from scorch.demo.cases import Case, Contender, matrix_cases
from scorch.demo.compare import difference
from scorch.demo.measure import Measurement, measure
from scorch.demo.subjects import Subject, built_in, from_file
from scorch.demo.tensors import tensor_cases

__all__ = [
    "Bystanders",
    "Case",
    "Contender",
    "Measurement",
    "Subject",
    "built_in",
    "difference",
    "from_file",
    "matrix_cases",
    "measure",
    "tensor_cases",
]
