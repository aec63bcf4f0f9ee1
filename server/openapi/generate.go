package openapi

//go:generate go run ./write ../../docs/reference
