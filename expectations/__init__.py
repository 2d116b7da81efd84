"""Checks of what landed and of the marts, and the gate that may let a list out to people."""

from expectations.checks import ChecksFailed, SuiteOutcome, check_landing, check_marts

__all__ = ["ChecksFailed", "SuiteOutcome", "check_landing", "check_marts"]
