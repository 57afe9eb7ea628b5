"""Graphs as ONNX models: protocol buffers of our own, checked by the onnx package in tests."""
