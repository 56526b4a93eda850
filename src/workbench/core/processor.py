"""How a process computes: with instructions that every processor of the kind has, on one thread, so that the same data give the same figures.

NumPy, OpenBLAS and Numba choose wider instructions where a processor has them. Wider ones add in another order, the last digits differ,
and UMAP draws other borders from them, as it does with another seed.
"""

from __future__ import annotations

import functools
import os
import sys
import zlib
from contextlib import AbstractContextManager
from typing import Any

COMMON = "x86-64-v3"  # what processors of Intel (since 2013) and AMD (since 2017) share, by the name in the x86-64 psABI
NEEDED = {"avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"}
LIMITS = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
    "NUMBA_CPU_NAME": COMMON,
    "NUMBA_CPU_FEATURES": "",
}


def use_common_instructions() -> None:
    """Keep libraries that are loaded later, and processes started later, to what x86-64 processors share; what is set already stays.

    Does nothing where the processor lacks them, or where NumPy is loaded already: import `workbench` first.
    """
    if "numpy" in sys.modules or all(name in os.environ for name in LIMITS):
        return
    if has_common_instructions():
        for name, value in LIMITS.items():
            os.environ.setdefault(name, value)


def use_one_thread() -> None:
    """Let numerical libraries of this process compute on one thread: several add in another order, and wait for each other.

    On tables of customers the waiting costs more than the second thread brings, many times more beside other work. The engine's threads stay.
    """
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # for libraries that are loaded later
    on_one_thread()  # for those that are loaded already


def on_one_thread() -> AbstractContextManager:
    """One thread from here on, or in a `with` block until its end; for where two would add in another order."""
    return _loaded(len(sys.modules)).limit(limits=1)


@functools.lru_cache(maxsize=1)
def _loaded(modules: int) -> Any:
    """The numerical libraries that are loaded by so many modules; to look for them takes as long as to settle centres."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def has_common_instructions() -> bool:
    """Whether this machine's processor has them."""
    from llvmlite.binding import get_host_cpu_features

    own = get_host_cpu_features()
    return all(own.get(feature) for feature in NEEDED)


def processor() -> str:
    """What this process computes with: "x86-64-v3", or the processor's own name and a mark of what it can do, such as znver3-5d1f."""
    if all(os.environ.get(name) == value for name, value in LIMITS.items()):
        return COMMON
    from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

    return f"{get_host_cpu_name()}-{zlib.crc32(get_host_cpu_features().flatten().encode()) % 2**16:04x}"
