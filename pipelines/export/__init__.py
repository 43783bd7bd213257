"""Other formats: ONNX and LiteRT, compared with the saved model before they are published."""
