"""Lowering of `scorch.emit.vocabulary.memory`. Nothing here looks at the array's length."""

from typing import Any

from llvmlite import ir
from numba.core import types

from scorch.emit.vocabulary import memory
from scorch.emit.vocabulary.compiled import vec
from scorch.emit.vocabulary.compiled.vec import Builder, Definition, Value, Vec, lowers, sign


@lowers(memory.vfull)
def _vfull(_: Any, x: types.Type, n: types.Type) -> Definition:
    scalar = vec.plain(x)
    result = vec.make_vec(scalar, vec.width_of(n))

    def generate(_: Any, builder: Builder, __: Any, values: tuple[Value, ...]) -> Value:
        return vec.widen(builder, scalar, values[0], result)

    return sign(result, scalar, n), generate


def _count(n: types.Type, dtype: types.Type) -> Definition:
    """Type and lower the lanes 0, 1, ... n - 1."""
    result = vec.make_vec(dtype, vec.width_of(n))

    def generate(*_: Any) -> Value:
        return vec.constants(vec.lane_type(dtype), list(range(result.n)))

    return sign(result, n), generate


@lowers(memory.viota)
def _viota(_: Any, n: types.Type) -> Definition:
    return _count(n, types.int64)


@lowers(memory.viota32)
def _viota32(_: Any, n: types.Type) -> Definition:
    return _count(n, types.int32)


@lowers(memory.first_lanes)
def _first_lanes(_: Any, v: types.Type, m: types.Type) -> Definition:
    given = vec.vec_of(v)

    def generate(_: Any, builder: Builder, __: Any, values: tuple[Value, ...]) -> Value:
        return vec.from_mask(builder, vec.first_mask(builder, given.n, values[1]))

    return sign(Vec(types.boolean, given.n), v, vec.index_of(m)), generate


@lowers(memory.vload)
def _vload(_: Any, a: types.Type, i: types.Type, n: types.Type) -> Definition:
    array = vec.array_of(a)
    result = vec.make_vec(array.dtype, vec.width_of(n))

    def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
        place = _address(context, builder, array, values[0], values[1])
        lanes = ir.VectorType(vec.lane_type(array.dtype), result.n)
        return builder.load(builder.bitcast(place, lanes.as_pointer()), align=_align(array))

    return sign(result, a, vec.index_of(i), n), generate


@lowers(memory.vturn)
def _vturn(_: Any, a: types.Type, i: types.Type, step: types.Type, n: types.Type) -> Definition:
    array = vec.array_of(a)
    each = vec.make_vec(array.dtype, vec.width_of(n))
    result = types.UniTuple(each, each.n)

    def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
        lanes = ir.VectorType(vec.lane_type(array.dtype), each.n)
        held, place, between, _ = values
        rows = []
        for _ in range(each.n):
            row = builder.bitcast(_address(context, builder, array, held, place), lanes.as_pointer())
            rows.append(builder.load(row, align=_align(array)))
            place = builder.add(place, between)
        return context.make_tuple(builder, result, _turned(builder, rows))

    return sign(result, a, vec.index_of(i), vec.index_of(step), n), generate


def _turned(builder: Builder, rows: list[Value]) -> list[Value]:
    """The columns of a square block: halves of the block change places, then halves of those, down to single lanes."""
    width = len(rows)
    half = width // 2
    while half:
        low = [lane if not lane & half else lane - half + width for lane in range(width)]
        high = [lane + half if not lane & half else lane + width for lane in range(width)]
        for row in (row for row in range(width) if not row & half):
            upper, lower = rows[row], rows[row + half]
            rows[row] = builder.shuffle_vector(upper, lower, vec.constants(vec.INT32, low))
            rows[row + half] = builder.shuffle_vector(upper, lower, vec.constants(vec.INT32, high))
        half //= 2
    return rows


@lowers(memory.vload_part)
def _vload_part(_: Any, a: types.Type, i: types.Type, n: types.Type, m: types.Type) -> Definition:
    array = vec.array_of(a)
    result = vec.make_vec(array.dtype, vec.width_of(n))

    def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
        place = _address(context, builder, array, values[0], values[1])
        blank = vec.zeros(result)
        mask = vec.first_mask(builder, result.n, values[3])
        name = f"llvm.masked.load.{vec.mangled(result)}.p0"
        return vec.call(builder, name, blank.type, _opaque(builder, place), vec.INT32(_align(array)), mask, blank)

    return sign(result, a, vec.index_of(i), n, vec.index_of(m)), generate


@lowers(memory.vstore)
def _vstore(_: Any, a: types.Type, i: types.Type, v: types.Type) -> Definition:
    array = _written(a, v)

    def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
        place = _address(context, builder, array, values[0], values[1])
        builder.store(values[2], builder.bitcast(place, values[2].type.as_pointer()), align=_align(array))
        return context.get_dummy_value()

    return sign(types.none, a, vec.index_of(i), v), generate


@lowers(memory.vstream)
def _vstream(_: Any, a: types.Type, i: types.Type, v: types.Type) -> Definition:
    array = _written(a, v)

    def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
        place = _address(context, builder, array, values[0], values[1])
        pointer = builder.bitcast(place, values[2].type.as_pointer())
        size = vec.vec_of(v).n * _align(array)
        begun = builder.and_(builder.ptrtoint(place, vec.INT64), vec.INT64(size - 1))
        # What goes past the caches has to begin where a whole vector may; other vectors are stored as usual.
        with builder.if_else(builder.icmp_unsigned("==", begun, vec.INT64(0)), likely=True) as (aligned, otherwise):
            with aligned:
                store = builder.store(values[2], pointer, align=size)
                store.set_metadata("nontemporal", builder.module.add_metadata([vec.INT32(1)]))
            with otherwise:
                builder.store(values[2], pointer, align=_align(array))
        return context.get_dummy_value()

    return sign(types.none, a, vec.index_of(i), v), generate


@lowers(memory.fence)
def _fence(_: Any) -> Definition:
    def generate(context: Any, builder: Builder, *_: Any) -> Value:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return sign(types.none), generate


@lowers(memory.vstore_part)
def _vstore_part(_: Any, a: types.Type, i: types.Type, v: types.Type, m: types.Type) -> Definition:
    array = _written(a, v)
    given = vec.vec_of(v)

    def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
        place = _opaque(builder, _address(context, builder, array, values[0], values[1]))
        mask = vec.first_mask(builder, given.n, values[3])
        name = f"llvm.masked.store.{vec.mangled(given)}.p0"
        vec.call(builder, name, ir.VoidType(), values[2], place, vec.INT32(_align(array)), mask)
        return context.get_dummy_value()

    return sign(types.none, a, vec.index_of(i), v, vec.index_of(m)), generate


def _gather(a: types.Type, idx: types.Type, *m: types.Type) -> Definition:
    """Type and lower a gather of all lanes, or of the first m."""
    array = vec.array_of(a)
    index = vec.vec_of(idx)
    if index.dtype not in (types.int32, types.int64):
        raise vec.reject(f"vgather: indices are int32 or int64 lanes, not {index.dtype}")
    result = vec.make_vec(array.dtype, index.n)

    def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
        places = _addresses(context, builder, array, values[0], values[1])
        mask: Value = vec.constants(vec.INT1, [1] * result.n)
        if m:
            mask = vec.first_mask(builder, result.n, values[2])
        blank = vec.zeros(result)
        name = f"llvm.masked.gather.{vec.mangled(result)}.v{result.n}p0"
        return vec.call(builder, name, blank.type, places, vec.INT32(_align(array)), mask, blank)

    return sign(result, a, idx, *map(vec.index_of, m)), generate


@lowers(memory.vgather)
def _vgather(_: Any, a: types.Type, idx: types.Type) -> Definition:
    return _gather(a, idx)


@lowers(memory.vgather_part)
def _vgather_part(_: Any, a: types.Type, idx: types.Type, m: types.Type) -> Definition:
    return _gather(a, idx, m)


@lowers(memory.vgather_at)
def _vgather_at(_: Any, a: types.Type, crd: types.Type, i: types.Type, n: types.Type) -> Definition:
    array, listed = vec.array_of(a), vec.array_of(crd)
    if listed.dtype not in types.signed_domain:
        raise vec.reject(f"vgather_at: coordinates are signed integers, not {listed.dtype}")
    result = vec.make_vec(array.dtype, vec.width_of(n))

    def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
        first = _address(context, builder, listed, values[1], values[2])
        lanes = ir.Constant(ir.VectorType(vec.lane_type(array.dtype), result.n), ir.Undefined)
        for lane in range(result.n):
            coordinate = builder.load(builder.gep(first, [vec.INT32(lane)]), align=_align(listed))
            place = builder.sext(coordinate, vec.INT64)
            value = builder.load(_address(context, builder, array, values[0], place), align=_align(array))
            lanes = builder.insert_element(lanes, value, vec.INT32(lane))
        return lanes

    return sign(result, a, crd, vec.index_of(i), n), generate


@lowers(memory.prefetch)
def _prefetch(_: Any, a: types.Type, i: types.Type) -> Definition:
    array = vec.array_of(a)

    def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
        place = _opaque(builder, _address(context, builder, array, values[0], values[1]))
        # Read access, into every cache level, data cache.
        kind = vec.INT32(0), vec.INT32(3), vec.INT32(1)
        vec.call(builder, "llvm.prefetch.p0", ir.VoidType(), place, *kind)
        return context.get_dummy_value()

    return sign(types.none, a, vec.index_of(i)), generate


def _written(a: types.Type, v: types.Type) -> types.Array:
    """Return the type of an array that the lanes v are stored to."""
    array, given = vec.array_of(a, written=True), vec.vec_of(v)
    if array.dtype != given.dtype:
        raise vec.reject(f"{given} cannot be stored to {array}: convert with vcast")
    return array


def _address(context: Any, builder: Builder, array: types.Array, a: Value, i: Value) -> Value:
    """Return the address of a[i]: one signed offset, without the wraparound of a Python index."""
    data = context.make_array(array)(context, builder, a).data
    return builder.gep(data, [i])


def _addresses(context: Any, builder: Builder, array: types.Array, a: Value, idx: Value) -> Value:
    """Return the vector of addresses of a[idx].

    The scalar base and the vector index stay one getelementptr, the form that becomes one gather
    instruction with 32-bit indices. llvmlite gives it the type of its base; the true one is set here.
    """
    data = context.make_array(array)(context, builder, a).data
    places = ir.instructions.GEPInstr(
        builder.block, _opaque(builder, data), [idx], False, "", source_etype=vec.lane_type(array.dtype)
    )
    places.type = ir.VectorType(vec.POINTER, idx.type.count)
    builder._insert(places)
    return places


def _opaque(builder: Builder, place: Value) -> Value:
    """Return an address as the untyped pointer that intrinsics are declared with.

    llvmlite's own bitcast leaves a typed pointer as it is, and an intrinsic could be called with one type only.
    """
    cast = ir.instructions.CastInstr(builder.block, "bitcast", place, vec.POINTER)
    builder._insert(cast)
    return cast


def _align(array: types.Array) -> int:
    """Return the alignment in bytes that the array's type promises for an element."""
    dtype: Any = array.dtype
    return dtype.bitwidth // 8 if array.aligned and not isinstance(dtype, types.Boolean) else 1
