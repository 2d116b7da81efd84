"""Demand of the coming weeks, by several methods, each also tried on weeks that have passed.

What was ordered is read from dbt's models; which method is believed for which products is decided there too.
"""

from forecasting.run import Made, make

__all__ = ["Made", "make"]
