"""TensorFlow's SavedModel and frozen GraphDef, read without TensorFlow."""
