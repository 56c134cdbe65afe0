"""Encoders in torch: loaded, built, initialised, restored and exported to ONNX."""
