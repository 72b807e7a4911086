"""Fakes that keep the promises of their ports."""
