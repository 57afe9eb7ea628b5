"""Keras models: four doors (tfjs layers-model, .h5, .keras), one importer of layer configs."""
