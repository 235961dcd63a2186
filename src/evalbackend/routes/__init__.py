"""HTTP endpoints, one module per resource; they translate between the wire and the store."""
