"""HOW: loop order, tiles, workspaces, assembly and partition of a statement, chosen by estimated cost."""
