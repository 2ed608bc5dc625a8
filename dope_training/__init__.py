"""Offline training of the belief-map networks."""
