"""Saved models behind HTTP: TensorFlow Serving's REST protocol, on Ray Serve.

``protocol`` turns JSON into named arrays and back, ``batches`` joins requests and cuts their answers apart again,
``replica`` holds one model, ``gateway`` is what clients talk to, and ``server`` starts and stops it all.
"""
