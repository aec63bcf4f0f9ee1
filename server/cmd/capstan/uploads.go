package main

import (
	"context"
	"path/filepath"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/capstan-video/capstan/server/service"
)

// uploads says how capsules come over HTTP: h runs them, as confined as the bundled ones. signed
// takes only packages that a key of the environment's has signed.
func uploads(h *host.Host, data string, signed bool) (service.Uploads, error) {
	u := service.Uploads{Folder: filepath.Join(data, "capsules"), Launch: launchPackage(h), Signed: signed}
	var err error
	if u.Trust, err = pack.EnvTrust(); err != nil {
		return u, err
	}
	if signed && len(u.Trust) == 0 {
		return u, core.Faultf(core.Invalid, "serve", "", "signed capsules are required, and %s names no public keys to trust", pack.TrustEnv)
	}
	return u, nil
}

// launchPackage unpacks a package beside its file and runs its capsule.
func launchPackage(h *host.Host) func(context.Context, string, map[string]any) (service.Launched, error) {
	return func(ctx context.Context, file string, options map[string]any) (service.Launched, error) {
		beside := &pack.Cache{Dir: filepath.Join(filepath.Dir(file), "unpacked")}
		entries, err := catalog.Loader{Cache: beside}.Load(ctx, file)
		if err != nil {
			return nil, err
		}
		spec, err := specOf(entries[0], options)
		if err != nil {
			return nil, err
		}
		c, err := h.Launch(ctx, spec)
		if err != nil {
			return nil, err // not c, which would be a Launched that is not nil
		}
		return c, nil
	}
}
