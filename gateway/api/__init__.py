"""The JSON management API and its OpenAPI description: a thin skin over `gateway.operations`."""
