"""Meshes -> scenes -> labelled images."""
