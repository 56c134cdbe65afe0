"""The contract between the packages: types, field names, index templates, settings, errors, the client."""
