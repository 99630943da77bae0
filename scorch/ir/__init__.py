"""WHAT is computed: index notation, operators, iteration graph, merge lattice, the plan and the loop IR."""
