"""torch functions over `scorch.Tensor`: a registry, and one file a subject."""
