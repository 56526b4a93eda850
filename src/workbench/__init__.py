"""Customer micro-segmentation workbench: from the exports of many systems to segments, personas and KPIs."""

from workbench.core.processor import use_common_instructions

__version__ = "0.1.0"

use_common_instructions()  # before anything of ours loads NumPy
