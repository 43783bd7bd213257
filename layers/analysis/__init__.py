"""What can be said of a built model without running it: receptive fields, costs, dilation rates, matrices."""
