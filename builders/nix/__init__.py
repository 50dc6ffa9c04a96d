"""The Nix builder: a flake, a default.nix or a shell.nix is evaluated, built and assembled into an image."""
