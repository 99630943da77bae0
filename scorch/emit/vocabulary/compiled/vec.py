"""The Numba type of a vector, and the tools that the lowering of each name is written with.

A name is bound straight to an intrinsic template (`lowers`), not through `numba.extending.overload`:
an overload compiles a Python function for each new set of argument types, about 10 ms a name.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import errors, types
from numba.core.typing import templates
from numba.extending import models, register_model
from numba.np import numpy_support

# llvmlite and Numba carry no types for these.
Value: TypeAlias = Any
Builder: TypeAlias = Any
Signature: TypeAlias = Any
Generator: TypeAlias = Callable[[Any, Builder, Signature, tuple[Value, ...]], Value]
Definition: TypeAlias = tuple[Signature, Generator]
_infer: Any = templates.infer
_infer_global: Any = templates.infer_global
_make_template: Any = templates.make_intrinsic_template
_signature: Any = templates.signature
_unliteral: Any = types.unliteral

INT1, INT8, INT32, INT64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
POINTER = ir.PointerType()
CONTRACT = ("contract",)


class Vec(types.Type):
    """n lanes of a Numba integer, float or boolean; a boolean lane is a byte, 0 or 1."""

    def __init__(self, dtype: Any, n: int) -> None:
        self.dtype = dtype
        self.n = n
        super().__init__(name=f"Vec({dtype}, {n})")


@register_model(Vec)
class _VecModel(models.PrimitiveModel):
    """A vector is one LLVM vector value, in registers and in memory."""

    def __init__(self, dmm: Any, fe_type: Vec) -> None:
        lanes = ir.VectorType(lane_type(fe_type.dtype), fe_type.n)
        super().__init__(dmm, fe_type, lanes)


def lowers(twin: Callable[..., Any]) -> Callable[[Callable[..., Definition | None]], None]:
    """Bind a definition (typing context, argument types) -> (signature, generator) to a plain function."""

    def bind(define: Callable[..., Definition | None]) -> None:
        template: Any = _make_template(twin, define, twin.__name__, prefer_literal=True)
        _infer(template)
        _infer_global(twin, types.Function(template))

    return bind


def sign(result: types.Type, *arguments: types.Type) -> Signature:
    """Return the Numba signature result(*arguments)."""
    return _signature(result, *arguments)


def reject(message: str) -> errors.TypingError:
    """Return the error that Numba reports at the line of the call."""
    return errors.TypingError(message)


# Typing: what each kind of argument must be. ------------------------------------------------------


def plain(t: types.Type) -> Any:
    """Return the type of an argument without the value it may carry as a literal."""
    return _unliteral(t)


def lane_type(dtype: Any) -> ir.Type:
    """Return the LLVM type of a lane."""
    if isinstance(dtype, types.Boolean):
        return INT8
    if dtype in types.integer_domain:
        return ir.IntType(dtype.bitwidth)
    if dtype in types.real_domain:
        return ir.FloatType() if dtype == types.float32 else ir.DoubleType()
    raise reject(f"no vector has lanes of {dtype}")


def make_vec(dtype: types.Type, n: int) -> Vec:
    """Return Vec(dtype, n); a TypingError for other widths than 1, 2, 4, ... 256."""
    lane_type(dtype)
    if not 1 <= n <= 256 or n & (n - 1):
        raise reject(f"a vector has 1, 2, 4, ... or 256 lanes, not {n}")
    return Vec(dtype, n)


def width_of(n: types.Type) -> int:
    """Return the width that a literal argument gives."""
    if not isinstance(n, types.IntegerLiteral):
        raise reject("the width of a vector is an integer literal")
    return int(n.literal_value)


def array_of(a: types.Type, written: bool = False) -> types.Array:
    """Return the array type; it must be 1-d and contiguous, and writable where it is written."""
    if not isinstance(a, types.Array) or a.ndim != 1 or a.layout not in "CF":
        raise reject(f"expected a 1-d contiguous array, not {a}")
    if written and not a.mutable:
        raise reject(f"{a} is read-only")
    return a


def index_of(i: types.Type) -> types.Type:
    """Return intp for any integer argument."""
    if not isinstance(plain(i), types.Integer):
        raise reject(f"expected an integer position or count, not {i}")
    return types.intp


def vec_of(v: types.Type) -> Vec:
    """Return the type of an argument that must be a vector."""
    if not isinstance(v, Vec):
        raise reject(f"expected a vector, not {v}")
    return v


def common_vec(*operands: types.Type) -> Vec:
    """Return the vector type that the operands, vectors or scalars of one dtype, broadcast to."""
    vecs = {x for x in operands if isinstance(x, Vec)}
    dtypes = {x.dtype if isinstance(x, Vec) else plain(x) for x in operands}
    if len(dtypes) != 1:
        raise reject(f"mixed lane dtypes {sorted(map(str, dtypes))}: convert with vcast or a numpy scalar")
    if len(vecs) != 1:
        raise reject("expected at least one vector, and all vectors of the same width")
    return vecs.pop()


def is_float(v: Vec) -> bool:
    """Tell whether the lanes are floats."""
    return isinstance(v.dtype, types.Float)


def is_unsigned(v: Vec) -> bool:
    """Tell whether the lanes compare and convert as unsigned; bool lanes do."""
    return isinstance(v.dtype, types.Boolean) or not (is_float(v) or v.dtype.signed)


def from_numpy(dtype: Any) -> Any:
    """Return the Numba dtype of an argument that is a numpy scalar class."""
    if isinstance(dtype, types.NumberClass):
        return dtype.dtype
    if isinstance(dtype, types.Function) and dtype.typing_key is np.bool_:
        return types.boolean
    if isinstance(dtype, types.DType):
        return numpy_support.from_dtype(numpy_support.as_dtype(dtype.dtype))
    raise reject(f"expected a numpy scalar class such as np.float32, not {dtype}")


# Lowering. ----------------------------------------------------------------------------------------


def constants(lane: ir.Type, values: list[int]) -> ir.Constant:
    """Return a constant vector."""
    return ir.Constant(ir.VectorType(lane, len(values)), values)


def zeros(vec: Vec) -> ir.Constant:
    """Return the all-zero vector."""
    return ir.Constant(ir.VectorType(lane_type(vec.dtype), vec.n), None)


def splat(builder: Builder, x: Value, n: int) -> Value:
    """Return n copies of an LLVM scalar."""
    blank = ir.Constant(ir.VectorType(x.type, n), ir.Undefined)
    first = builder.insert_element(blank, x, INT32(0))
    return builder.shuffle_vector(first, blank, constants(INT32, [0] * n))


def widen(builder: Builder, operand: types.Type, x: Value, vec: Vec) -> Value:
    """Return an operand as a vector: itself, or a broadcast scalar."""
    if isinstance(operand, Vec):
        return x
    if isinstance(vec.dtype, types.Boolean):
        x = builder.zext(x, INT8)
    return splat(builder, x, vec.n)


def to_mask(builder: Builder, lanes: Value) -> Value:
    """Return bool lanes, bytes, as the i1 lanes that LLVM selects with."""
    return builder.trunc(lanes, ir.VectorType(INT1, lanes.type.count))


def from_mask(builder: Builder, mask: Value) -> Value:
    """Return i1 lanes as bool lanes."""
    return builder.zext(mask, ir.VectorType(INT8, mask.type.count))


def first_mask(builder: Builder, n: int, m: Value) -> Value:
    """Return the i1 lanes of which the first m, an int64 of at most n, are true."""
    count = splat(builder, builder.trunc(m, INT32), n)
    return builder.icmp_signed("<", constants(INT32, list(range(n))), count)


def call(builder: Builder, name: str, result: ir.Type, *arguments: Value) -> Value:
    """Call the LLVM intrinsic of a full, mangled name."""
    function_type = ir.FunctionType(result, [x.type for x in arguments])
    function = builder.module.declare_intrinsic(name, (), function_type)
    return builder.call(function, arguments)


def mangled(vec: Vec) -> str:
    """Return the name of a vector in an intrinsic's name.

    >>> mangled(Vec(types.float32, 8))
    'v8f32'
    """
    lane = lane_type(vec.dtype)
    return f"v{vec.n}{lane.intrinsic_name}"
