"""Lowering of `scorch.emit.vocabulary.launch`: a direct call of the thread pool under Numba's prange.

Numba turns a `prange` loop into a generalised ufunc, whose analysis and wrappers take several times as
long to compile as the loop. The pool's entry point, numba_parallel_for, wants only a C function.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils as untyped_cgutils
from numba.core import typed_passes, types
from numba.np.ufunc import parallel

from scorch.emit.vocabulary import launch
from scorch.emit.vocabulary.compiled import vec
from scorch.emit.vocabulary.compiled.vec import (
    INT32,
    INT64,
    POINTER,
    Builder,
    Definition,
    Value,
    lowers,
    sign,
)

_NULL = ir.Constant(POINTER, None)
_start_threads: Any = parallel._launch_threads
cgutils: Any = untyped_cgutils


@dataclass(frozen=True)
class _Body:
    """The function that a thread calls: its Numba signature, and whether it wants the thread's number."""

    function: Any
    signature: Any
    given: tuple[types.Type, ...]
    numbered: bool


def _bind(twin: Callable[..., Any], numbered: bool) -> None:
    """Bind run_chunks, or the variant that numbers the threads."""

    def define(typing: Any, threads: Any, chunks: Any, bounds: Any, body: Any, args: Any) -> Definition:
        _check(bounds, body, args)
        given = (types.int64,) * (3 if numbered else 2) + tuple(map(vec.plain, args.types))
        callee = _Body(body, body.get_call_type(typing, given, {}), given, numbered)
        # The symbol numba_parallel_for exists from here on, in this process.
        _start_threads()

        def generate(context: Any, builder: Builder, _: Any, values: tuple[Value, ...]) -> Value:
            return _generate(context, builder, callee, bounds, values)

        arguments = vec.index_of(threads), vec.index_of(chunks), bounds, body, args
        return sign(types.none, *arguments), generate

    lowers(twin)(define)


def _check(bounds: Any, body: Any, args: Any) -> None:
    """Raise a TypingError for arguments of the wrong kind."""
    if vec.array_of(bounds).dtype != types.int64:
        raise vec.reject(f"run_chunks: bounds are int64, not {bounds.dtype}")
    if not isinstance(body, types.Dispatcher):
        raise vec.reject(f"run_chunks: the body is a function compiled by Numba, not {body}")
    if not isinstance(args, types.BaseTuple):
        raise vec.reject(f"run_chunks: the arguments are a tuple, not {args}")


def _generate(context: Any, builder: Builder, body: _Body, bounds: Any, values: tuple[Value, ...]) -> Value:
    """Pack what the threads share into a block on the stack, and run the worker on the pool."""
    threads, chunks, array, _, args = values
    units = context.make_array(bounds)(context, builder, array).data
    fields = [INT64(0), chunks, units, *cgutils.unpack_tuple(builder, args)]
    shared = cgutils.pack_struct(builder, fields)
    block = cgutils.alloca_once_value(builder, shared)
    worker = _worker(context, builder.module, body, shared.type)
    # One array argument that starts at address 0 and has 1-byte steps: its address is the thread's number.
    base = cgutils.alloca_once_value(builder, _NULL)
    count = cgutils.alloca_once_value(builder, threads)
    step = cgutils.alloca_once_value(builder, INT64(1))
    pool_type = ir.FunctionType(ir.VoidType(), [POINTER] * 5 + [INT64] * 3)
    pool = cgutils.get_or_insert_function(builder.module, pool_type, "numba_parallel_for")
    builder.call(pool, [worker, base, count, step, block, INT64(0), INT64(1), threads])
    # A process that loads the compiled kernel from the disk must start the pool before it links it.
    context.active_code_library._reload_init.add(typed_passes._reload_parfors)
    return context.get_dummy_value()


def _worker(context: Any, module: Any, body: _Body, shared: ir.Type) -> Value:
    """Write the C function that one thread runs: take the next chunk, call the body, until none is left."""
    function_type = ir.FunctionType(ir.VoidType(), [POINTER] * 4)
    worker = ir.Function(module, function_type, name=module.get_unique_name("scorch_worker"))
    worker.linkage = "internal"
    starts, _, _, block = worker.args
    entry, head, work, done = (worker.append_basic_block(name) for name in ("entry", "head", "work", "done"))

    builder = ir.IRBuilder(entry)
    cursor = _field(builder, block, shared, 0)
    chunks, units, *args = (
        builder.load(_field(builder, block, shared, k), typ=shared.elements[k])
        for k in range(1, len(shared.elements))
    )
    if body.numbered:
        args.insert(0, builder.ptrtoint(builder.load(starts, typ=POINTER), INT64))
    builder.branch(head)

    builder.position_at_end(head)
    c = builder.atomic_rmw("add", cursor, INT64(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", c, chunks), work, done)

    builder.position_at_end(work)
    lo, hi = (
        builder.load(builder.gep(units, [position], source_etype=INT64), typ=INT64)
        for position in (c, builder.add(c, INT64(1)))
    )
    _call(context, builder, body, [lo, hi, *args])
    builder.branch(head)

    builder.position_at_end(done)
    builder.ret_void()
    return worker


def _field(builder: Builder, block: Value, shared: ir.Type, k: int) -> Value:
    """Return the address of a field of the shared block."""
    return builder.gep(block, [INT32(0), INT32(k)], inbounds=True, source_etype=shared)


def _call(context: Any, builder: Builder, body: _Body, args: list[Value]) -> None:
    """Call the body; its status is dropped, since a C function of the pool has nowhere to put it."""
    wanted = body.signature.args
    compiled = body.function.dispatcher.get_compile_result(body.signature)
    context.add_linking_libs([compiled.library])
    callee = context.declare_function(builder.module, compiled.fndesc)
    args = [context.cast(builder, *x) for x in zip(args, body.given, wanted, strict=True)]
    context.call_conv.call_function(builder, callee, body.signature.return_type, wanted, args)


_bind(launch.run_chunks, numbered=False)
_bind(launch.run_numbered_chunks, numbered=True)
