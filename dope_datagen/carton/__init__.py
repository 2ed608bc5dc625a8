"""The carton: a box that code draws, as a mesh to render and as sheets to print."""
