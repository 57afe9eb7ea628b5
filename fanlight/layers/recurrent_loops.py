"""placeholder"""
def found(*a): return None
