"""Images: found in the registry by environment key, or built once however many ask."""
