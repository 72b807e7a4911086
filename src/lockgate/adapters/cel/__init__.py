"""Custom rules in the Common Expression Language, judged in processes that can be killed (ADR 0005)."""
