"""Lockgate's own API."""
