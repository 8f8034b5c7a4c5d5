"""The asset graph: Dagster definitions that are thin over `mvmodel`. Import `pipelines.definitions` for all of it."""
