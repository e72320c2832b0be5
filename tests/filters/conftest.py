"""Properties of kernels: the first example pays for compiling, so no example has a time limit."""

from hypothesis import settings

settings.register_profile("kernels", deadline=None)
settings.load_profile("kernels")
