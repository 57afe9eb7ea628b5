"""TensorFlow Lite (LiteRT) files: flatbuffers, read without TensorFlow or a flatbuffers package."""
