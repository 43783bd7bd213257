"""The topics of the page *Layers*, one module each, and what they share. A topic draws; it computes nothing."""
