"""Functions of JAX, read from their jaxprs."""
