"""Which instructions libraries compute with: asked in processes of their own, as it is settled when they are loaded."""

import os
import subprocess
import sys

import pytest

from workbench.core.processor import COMMON, LIMITS, has_common_instructions, processor

ASK = """
import numpy, numba, scipy.linalg
from threadpoolctl import threadpool_info
print(processor())
print(*numpy.show_config(mode="dicts")["SIMD Extensions"]["found"])
print(*{library["architecture"] for library in threadpool_info() if library["internal_api"] == "openblas"})
print(numba.config.CPU_NAME)
"""
LOOK = "import workbench\nfrom workbench.core.processor import processor\n"


def asked(script: str, **settings: str) -> list[str]:
    """Lines that a script prints in a fresh process, with warnings as errors."""
    environment = {name: value for name, value in os.environ.items() if name not in LIMITS} | settings
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.fixture(scope="module", autouse=True)
def _is_common():
    if not has_common_instructions():
        pytest.skip("this processor has not the instructions that others share")


def test_libraries_use_what_processors_share_and_the_run_says_so():
    assert asked(LOOK + ASK) == [COMMON, "X86_V3", "Haswell", COMMON]
    assert processor() == COMMON  # these tests too


def test_numpy_before_the_package_is_told():
    assert asked("import numpy\n" + LOOK + "print(processor())") != [COMMON]


def test_what_a_user_has_set_stays_and_is_told():
    name, _, openblas, _ = asked(LOOK + ASK, OPENBLAS_CORETYPE="Sandybridge")
    assert openblas == "Sandybridge"
    assert name != COMMON
