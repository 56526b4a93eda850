"""Customer micro-segmentation workbench: from the exports of many systems to segments, personas and KPIs."""

__version__ = "0.1.0"
