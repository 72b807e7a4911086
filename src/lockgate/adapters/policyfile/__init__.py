"""The policy as a YAML file: reading it, explaining it, and the two files that come with Lockgate."""

from lockgate.adapters.policyfile.explaining import AskedFor, explain
from lockgate.adapters.policyfile.problems import PolicyFileError, Problem
from lockgate.adapters.policyfile.reading import builtin_text, digest_of, parse_policy, starter_text

__all__ = [
    "AskedFor",
    "PolicyFileError",
    "Problem",
    "builtin_text",
    "digest_of",
    "explain",
    "parse_policy",
    "starter_text",
]
