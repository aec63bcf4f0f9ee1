"""The messages of sdk/wire/capsule.proto, generated; see docs/reference/wire.md."""
