"""Poses judged by their truth: pictures and their objects, errors of each, figures of all, and the report."""
