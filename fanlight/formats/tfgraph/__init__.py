"""TF.js graph-models: a frozen TensorFlow GraphDef as JSON."""
