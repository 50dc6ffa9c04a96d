"""The Guix builder: channels and a manifest or a package, evaluated and built behind walls."""
