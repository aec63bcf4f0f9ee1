package native

import (
	"runtime"
)

func (a *api) server(*request, none) (serverInfo, error) {
	return serverInfo{Version: a.opt.Version, Go: runtime.Version(), Began: a.begun.UTC()}, nil
}
