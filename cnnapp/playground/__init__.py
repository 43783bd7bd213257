"""The ideas behind the layers, to play with: small computations with the layers themselves, and pictures of them.

The page *Layers* shows what these modules work out. Sizes are (height, width); images are grey levels, 0 to 255.
"""
