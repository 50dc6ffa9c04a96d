"""What the server of Nix and Guix images has beyond the settings of the site's base image."""

c = get_config()  # given by traitlets

c.ServerApp.kernel_spec_manager_class = "repolaunch_kernels.AuthorsKernels"
