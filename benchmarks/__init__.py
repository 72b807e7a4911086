"""Measurements for people: not part of the product, and nothing of the product or its tests imports them."""
