"""One file per stage, in the order of the pipeline. An asset says what it needs, which library function makes it and
what of the result is worth seeing; how it is made stands in `mvmodel`."""
