"""From a mesh as somebody exported it to one that can be rendered: read, judged, thinned out, baked, written."""
