"""What runs a bundle: WASM under CPython (wasmtime) or in a real browser (Playwright).

A host sees what a visitor's browser sees, the bundle, and never the compiler.
"""
