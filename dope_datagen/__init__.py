"""Meshes -> scenes -> labelled pictures."""
