"""What single formats of images need, so that all of them mean the same pixels."""
