"""Projects and their workspaces: the files that nothing loses."""
