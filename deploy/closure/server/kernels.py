"""Which kernels the server offers: those of the author's environment, run as that environment runs them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from jupyter_client.kernelspec import KernelSpecManager

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpec


class AuthorsKernels(KernelSpecManager):  # type: ignore[misc]  # jupyter_client's classes are untyped where it is absent
    """Kernels from JUPYTER_PATH and the person's own folder; never the server's own Python.

    A kernel's description may call its program `python`. jupyter_client takes that for the Python that it runs on
    itself, which here is the server's: what is meant is the first on PATH, the author's.
    """

    ensure_native_kernel = False

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Raises NoSuchKernel."""
        spec = super().get_kernel_spec(kernel_name)
        if spec.argv and "/" not in spec.argv[0] and (program := shutil.which(spec.argv[0])):
            spec.argv[0] = program
        return spec
