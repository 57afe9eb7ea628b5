"""TF.js graph-models: a frozen TensorFlow GraphDef as JSON.

reader.py imports the nodes in order. Where a model comes without its weights, roles.py guesses its
axes and sizes; docs/architecture.md shows how, in "A topology without its weights".
"""
