"""The models: encoders, fusion, scorer, training. Importing it keeps ONNX Runtime from reporting its use."""

import os

# Since 1.29 ONNX Runtime sends figures about models and machines to Microsoft unless told before it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
