"""One compiled function on disk: a checksum, the key it was made for, and the bytes.

    magic line | SHA-256 of all that follows, 32 bytes | the key in one line | payload

Machine code with a flipped bit would crash the process or give wrong numbers, so nothing of an entry is used
before its checksum is found right. The file's name holds only a hash of the key; the key itself is compared
when the entry is read.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

__all__ = ["Damaged", "name_of", "pack", "unpack", "write_atomically"]

_MAGIC = b"scorch machine code 1\n"
_START = len(_MAGIC) + hashlib.sha256().digest_size


class Damaged(Exception):
    """The bytes are no entry, or not the whole of one; the message says why."""


def pack(key: str, payload: bytes) -> bytes:
    """The bytes of an entry; the key is one line of text.

    >>> unpack(pack("add(int64)", b"code"))
    ('add(int64)', b'code')
    """
    if "\n" in key:
        raise ValueError(f"the key of an entry is one line, got {key!r}")
    rest = key.encode() + b"\n" + payload
    return _MAGIC + hashlib.sha256(rest).digest() + rest


def unpack(data: bytes) -> tuple[str, bytes]:
    """The key and the payload of an entry; Damaged if any bit differs from what was packed.

    >>> unpack(pack("add(int64)", b"code")[:-1])
    Traceback (most recent call last):
      ...
    scorch.emit.entry.Damaged: cut short or changed
    """
    if not data:
        raise Damaged("empty")
    if not data.startswith(_MAGIC):
        raise Damaged("not written by this version of Scorch")
    rest = data[_START:]
    if hashlib.sha256(rest).digest() != data[len(_MAGIC) : _START]:
        raise Damaged("cut short or changed")
    key, _, payload = rest.partition(b"\n")
    return key.decode(), payload


def name_of(stem: str, function: str, key: str) -> str:
    """The file name of an entry: the module's, the function's and a hash of the key.

    >>> name_of("ik_k_i_0123456789abcdef", "body", "key")
    'ik_k_i_0123456789abcdef.body.2c70e12b7a0646f9.nbc'
    """
    return f"{stem}.{function}.{hashlib.sha256(key.encode()).hexdigest()[:16]}.nbc"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of it or none; OSError if that fails, with nothing left over."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
