package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/capstan-video/capstan/core"
	"github.com/hashicorp/go-plugin"
)

// secure holds the program against the digest that its package states, before every start. One
// that differs is made anew, once.
func (c *Capsule) secure(ctx context.Context) error {
	if c.spec.SHA256 == "" {
		return nil
	}
	err := c.checkSum()
	if err == nil || c.spec.Renew == nil {
		return err
	}
	c.log.Warn("the program is not what its package says and is unpacked again", "error", err)
	if err := c.spec.Renew(ctx); err != nil {
		return core.Faultf(core.CapsuleStart, "capsule "+c.name, "", "%w", err)
	}
	return c.checkSum()
}

// checkSum is the check that go-plugin makes of programs that it starts by itself.
func (c *Capsule) checkSum() error {
	sum, err := hex.DecodeString(c.spec.SHA256)
	if err != nil || len(sum) != sha256.Size {
		return core.Faultf(core.Invalid, "capsule "+c.name, "", "%q is no SHA-256", c.spec.SHA256)
	}
	secure := plugin.SecureConfig{Checksum: sum, Hash: sha256.New()}
	ok, err := secure.Check(c.spec.Path)
	if err == nil && !ok {
		err = plugin.ErrChecksumsDoNotMatch
	}
	if err != nil {
		f := core.Faultf(core.CapsuleStart, "capsule "+c.name, "", "%s is not started: %w", c.spec.Path, err)
		f.Hint = "its package says SHA-256 " + c.spec.SHA256
		return f
	}
	return nil
}
