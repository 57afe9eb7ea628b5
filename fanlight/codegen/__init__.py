"""Code generation: from a legal graph to modules and memory images."""
