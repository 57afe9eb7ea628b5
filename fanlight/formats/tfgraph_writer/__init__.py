"""Graphs as TF.js graph-models: a GraphDef in JSON, and shards of weights."""
