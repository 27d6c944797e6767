"""argon2id in kept memory: the hashes of argon2-cffi, and nothing left in what is kept."""

from __future__ import annotations

import mmap
import resource
import secrets
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher, Type
from argon2.exceptions import HashingError, VerifyMismatchError
from argon2.low_level import ffi, hash_secret

from app import argon2id
from app.argon2id import Argon2id, Hash
from domain.errors import Damage, Overloaded

SECRETS = ["", "x", "correct horse", "pässwörd 🐎", "x" * 1_024]
PARAMETERS = [(8, 1), (8, 5), (9, 2), (11, 1), (16, 3), (1_023, 2), (2_048, 1), (2_049, 1)]
"""KiB and passes: the least, what isn't a multiple of four, and around the size of a huge page."""


@pytest.fixture(params=["kept", "libargon2's"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both kinds of memory; a system that forbids callbacks leaves the second one only."""
    if request.param != "kept":
        monkeypatch.setattr(argon2id, "ffi", WithoutCallbacks())
    return request.param


class WithoutCallbacks:
    """cffi where memory can't be made executable at run time."""

    def __getattr__(self, name: str) -> object:
        return getattr(ffi, name)

    def callback(self, *_: object) -> object:
        raise MemoryError("Cannot allocate write+execute memory for ffi.callback()")


def theirs(memory_kib: int, time_cost: int) -> PasswordHasher:
    return PasswordHasher(
        time_cost, memory_cost=memory_kib, parallelism=1, hash_len=32, salt_len=16
    )


def kept(argon2: Argon2id) -> argon2id._Area:
    """What this thread keeps."""
    assert argon2._area is not None
    return argon2._area


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(("memory_kib", "time_cost"), PARAMETERS)
@pytest.mark.parametrize("secret", SECRETS)
def test_argon2_cffi_makes_the_same_bytes(secret: str, memory_kib: int, time_cost: int) -> None:
    ours = Argon2id().hash(secret, memory_kib, time_cost)
    parameters = (time_cost, memory_kib, 1, 32, Type.ID)
    assert ours.encoded.encode() == hash_secret(secret.encode(), ours.salt, *parameters)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(("memory_kib", "time_cost"), PARAMETERS)
@pytest.mark.parametrize("secret", SECRETS)
def test_each_verifies_what_the_other_hashed(secret: str, memory_kib: int, time_cost: int) -> None:
    argon2, other = Argon2id(), theirs(memory_kib, time_cost)
    ours = argon2.hash(secret, memory_kib, time_cost).encoded
    assert other.verify(ours, secret)
    assert not other.check_needs_rehash(ours)
    with pytest.raises(VerifyMismatchError):
        other.verify(ours, secret + "x")
    stored = argon2id.parse(other.hash(secret))
    assert argon2.verify(stored, secret)
    assert not argon2.verify(stored, secret + "x")


def test_an_encoded_hash_reads_back_as_what_it_was() -> None:
    made = Argon2id().hash("correct horse", 16, 3)
    assert argon2id.parse(made.encoded) == made
    assert (made.memory_kib, made.time_cost, len(made.salt), len(made.digest)) == (16, 3, 16, 32)


def test_a_second_spelling_of_the_same_bytes_is_damage() -> None:
    """The last letters of both base64 values have two and four bits that no byte needs."""
    stored = Hash(8, 1, bytes(16), bytes(32)).encoded
    assert stored.endswith("A")
    for spelling in (stored[:-1] + "B", stored.replace("A$", "B$"), stored.replace("m=8", "m=08")):
        assert spelling != stored
        with pytest.raises(Damage):
            argon2id.parse(spelling)


def test_a_hash_shows_nothing_of_itself() -> None:
    assert repr(argon2id.of_nothing(8, 1)) == "Hash(…)"


@pytest.mark.parametrize(("memory_kib", "time_cost"), [(7, 1), (2**32, 1), (8, 2**32), (10**10, 1)])
@pytest.mark.usefixtures("address_space_of_one_tib")
def test_parameters_that_argon2_does_not_take_are_damage(memory_kib: int, time_cost: int) -> None:
    with pytest.raises(Damage):
        Argon2id().verify(argon2id.of_nothing(memory_kib, time_cost), "correct horse")


def test_a_new_hash_of_such_parameters_is_a_mistake_of_ours() -> None:
    with pytest.raises(HashingError):
        Argon2id().hash("correct horse", 7, 1)


@pytest.fixture
def address_space_of_one_tib() -> Iterator[None]:
    """So that 4 TiB are refused, also where the kernel promises more memory than there is."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**40, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("address_space_of_one_tib", "memory")
def test_memory_that_there_is_not_is_overload() -> None:
    argon2 = Argon2id()
    with pytest.raises(Overloaded):
        argon2.verify(argon2id.of_nothing(2**32 - 1, 1), "correct horse")
    assert argon2.verify(argon2.hash("correct horse", 8, 1), "correct horse")


def test_more_memory_than_was_agreed_is_not_lent() -> None:
    argon2 = Argon2id()
    argon2.hash("correct horse", 8, 1)
    place = ffi.new("uint8_t **")
    kept(argon2).allocate(place, 8 * 1_024 + 1)
    assert place[0] == ffi.NULL
    kept(argon2).allocate(place, 8 * 1_024)
    assert int(ffi.cast("uintptr_t", place[0])) % 2**21 == 0


def test_nothing_of_a_secret_is_left_in_what_is_kept() -> None:
    """Nor of what was there before: all of it was used, and all of it is wiped."""
    argon2 = Argon2id()
    argon2.hash("first", 1_024, 1)
    memory = kept(argon2).memory
    memory[:] = b"\xff" * len(memory)
    secret = secrets.token_hex(512)
    made = argon2.hash(secret, 1_024, 2)
    left = memory[:]
    assert left.count(0) == 1_024 * 1_024
    assert left.strip(b"\xff") == bytes(1_024 * 1_024)
    assert theirs(1_024, 2).verify(made.encoded, secret)
    assert not argon2.verify(made, "another")
    assert memory[:] == left


def test_what_is_kept_serves_smaller_hashes_and_grows_for_larger_ones() -> None:
    argon2 = Argon2id()
    argon2.hash("correct horse", 64, 1)
    first = kept(argon2)
    argon2.hash("correct horse", 8, 1)
    assert kept(argon2) is first
    stored = argon2id.parse(theirs(4_096, 1).hash("correct horse"))
    gone = weakref.ref(first)
    del first
    assert argon2.verify(stored, "correct horse")
    assert kept(argon2).size == 4_096 * 1_024
    assert gone() is None


def test_a_thread_keeps_memory_of_its_own_for_as_long_as_it_lives() -> None:
    argon2 = Argon2id()
    both = threading.Barrier(2, timeout=60)

    def work() -> weakref.ref:
        argon2.hash("correct horse", 8, 1)
        both.wait()
        return weakref.ref(kept(argon2))

    with ThreadPoolExecutor(2) as threads:
        areas = [job.result() for job in [threads.submit(work), threads.submit(work)]]
        assert len({area() for area in areas} - {None}) == 2
    assert argon2._area is None
    assert [area() for area in areas] == [None, None]


def test_threads_that_hash_at_the_same_time_do_not_meet() -> None:
    argon2 = Argon2id()

    def work(number: int) -> bool:
        parameters = (64 + number % 7 * 16, 1 + number % 3)
        made = argon2.hash(f"secret {number}", *parameters)
        return theirs(*parameters).verify(made.encoded, f"secret {number}")

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(200)))


@pytest.mark.skipif(sys.platform != "linux", reason="it alone has them")
def test_a_kernel_without_huge_pages_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "MADV_HUGEPAGE", 9_999)
    with pytest.raises(OSError, match="Invalid argument"):
        mmap.mmap(-1, mmap.PAGESIZE).madvise(9_999)
    argon2 = Argon2id()
    assert argon2.verify(argon2.hash("correct horse", 8, 1), "correct horse")
    assert kept(argon2).size == 8 * 1_024


@pytest.mark.skipif(sys.platform != "linux", reason="it counts what a thread alone does")
def test_a_hash_faults_in_no_memory_but_the_first_time() -> None:
    argon2, usage = Argon2id(), resource.getrusage
    stored = argon2.hash("correct horse", 16_384, 1)
    before = usage(resource.RUSAGE_THREAD).ru_minflt
    assert argon2.verify(stored, "correct horse")
    assert usage(resource.RUSAGE_THREAD).ru_minflt - before < 16_384 // 4 // 16
