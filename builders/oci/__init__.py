"""Images assembled from store paths (Nix's and Guix's): the same bytes from the same closure, on every machine."""
