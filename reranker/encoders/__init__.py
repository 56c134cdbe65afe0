"""From text to vectors: the ONNX towers, the query and product encoders, and the codec of stored products."""
