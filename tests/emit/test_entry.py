import os

import pytest

from scorch.emit.entry import Damaged, name_of, pack, unpack, write_atomically

KEY = "body (float32, int64) znver5"


def test_what_was_packed_is_unpacked():
    payload = bytes(range(256)) + b"\n\n"
    assert unpack(pack(KEY, payload)) == (KEY, payload)
    with pytest.raises(ValueError, match="one line"):
        pack("two\nlines", payload)


def test_every_flipped_bit_is_found():
    entry = pack(KEY, b"\x90\xc3" * 20)
    for place in range(len(entry) * 8):
        changed = bytearray(entry)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(Damaged):
            unpack(bytes(changed))


@pytest.mark.parametrize("length", [0, 1, 21, 22, 53, 54, 60])
def test_every_missing_end_is_found(length):
    with pytest.raises(Damaged):
        unpack(pack(KEY, b"code")[:length])


def test_more_than_was_written_is_found():
    with pytest.raises(Damaged, match="changed"):
        unpack(pack(KEY, b"code") + b"\0")


def test_names_differ_with_the_key():
    assert name_of("ik_k_i", "body", KEY) != name_of("ik_k_i", "body", KEY + "+avx2")


def test_writing_leaves_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
