// Package files finds model files, and the library that runs them, on this machine.
package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// The environment variables that say where to look.
const (
	ModelsEnv  = "CAPSTAN_MODELS"      // list of folders with model files, searched at every depth
	LibraryEnv = "CAPSTAN_ONNXRUNTIME" // the library, or the folder that it lies in
	CacheEnv   = "CAPSTAN_CACHE"       // where downloads are kept
)

// Library is the file name of ONNX Runtime under which it is fetched.
const Library = "libonnxruntime.so.1"

// The bounds of a search, so that a wrong folder (a home, a root) does not take minutes.
const (
	maxDepth = 8
	maxFiles = 50_000
)

// Cache gives the folder for downloads: $CAPSTAN_CACHE, else capstan in $XDG_CACHE_HOME or
// ~/.cache. It is empty where the environment names no home, and need not exist.
func Cache() string {
	if dir := os.Getenv(CacheEnv); dir != "" {
		return absolute(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "capstan")
}

// ModelFolders gives the folders in which the running program looks for models; see Folders.
func ModelFolders() []string { return Folders(programFolder()) }

// Folders gives the folders in which a capsule whose program lies in dir looks for models, first
// to last: those of $CAPSTAN_MODELS, models beside the program, its own folder, and the cache's.
// They need not exist.
func Folders(dir string) []string {
	folders := split(os.Getenv(ModelsEnv))
	if dir != "" {
		folders = append(folders, filepath.Join(dir, "models"), dir)
	}
	if dir := Cache(); dir != "" {
		folders = append(folders, filepath.Join(dir, "models"))
	}
	return folders
}

// Model gives the path of the model file of that name. given, the capsule's option, is the path
// itself where it is not empty. A file that is nowhere is a NotFound fault that says how to get it.
func Model(name, given string) (string, error) {
	if given != "" {
		return existing("option model", given)
	}
	folders := ModelFolders()
	if path := Search(name, folders); path != "" {
		return path, nil
	}
	f := core.Faultf(core.NotFound, "model", name, "it is not in %s", strings.Join(folders, ", "))
	f.Hint = "fetch it by: capstan models pull; or name its folder in " + ModelsEnv + ", or the file in the option model"
	return "", f
}

// Search gives the first file of that name in the folders, which are searched at every depth
// up to 8; empty when there is none.
func Search(name string, folders []string) string {
	for _, dir := range folders {
		if path := search(name, dir); path != "" {
			return path
		}
	}
	return ""
}

func search(name, dir string) string {
	if path := filepath.Join(dir, name); isFile(path) {
		return path
	}
	found, seen := "", 0
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		seen++
		switch {
		case seen > maxFiles:
			return fs.SkipAll
		case err != nil:
			return nil // a folder that cannot be read holds nothing for us
		case e.IsDir() && path != dir && (strings.HasPrefix(e.Name(), ".") || depth(dir, path) > maxDepth):
			return fs.SkipDir
		case e.Name() == name && isFile(path):
			found = path
			return fs.SkipAll
		}
		return nil
	})
	return found
}

func depth(dir, path string) int {
	rest, err := filepath.Rel(dir, path)
	if err != nil {
		return maxDepth + 1
	}
	return strings.Count(rest, string(filepath.Separator)) + 1
}

// Runtime gives the path of ONNX Runtime. given, the capsule's option, is the file or its folder
// where it is not empty; else $CAPSTAN_ONNXRUNTIME is; else it is looked for beside the running
// program, in the cache and where systems keep libraries. One that is named and not there is a
// fault; so is none at all, with the command that fetches it.
func Runtime(given string) (string, error) {
	for _, named := range []struct{ by, path string }{{"option onnxruntime", given}, {LibraryEnv, os.Getenv(LibraryEnv)}} {
		if named.path == "" {
			continue
		}
		if path := libraryIn(absolute(named.path)); path != "" {
			return path, nil
		}
		return existing(named.by, named.path)
	}
	folders := libraryFolders()
	for _, dir := range folders {
		if path := libraryIn(dir); path != "" {
			return path, nil
		}
	}
	f := core.Faultf(core.NotFound, "onnxruntime", Library, "it is not in %s", strings.Join(folders, ", "))
	f.Hint = "fetch it by: make onnxruntime; or name it in " + LibraryEnv + " or the option onnxruntime"
	return "", f
}

// systemFolders are where Debian's packages, local installations and the project's archives put it.
var systemFolders = []string{
	"/usr/local/lib", "/usr/lib/" + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux-gnu",
	"/usr/lib64", "/usr/lib", "/opt/onnxruntime/lib",
}

func libraryFolders() []string {
	var folders []string
	if dir := programFolder(); dir != "" {
		folders = append(folders, dir, filepath.Join(dir, "lib"))
	}
	if dir := Cache(); dir != "" {
		folders = append(folders, filepath.Join(dir, "lib"))
	}
	return append(folders, systemFolders...)
}

// libraryIn gives the library that path is, or that lies in the folder path; empty for none.
func libraryIn(path string) string {
	if isFile(path) {
		return path
	}
	for _, name := range []string{Library, "libonnxruntime.so", "onnxruntime.so"} {
		if file := filepath.Join(path, name); isFile(file) {
			return file
		}
	}
	versions, _ := filepath.Glob(filepath.Join(path, "libonnxruntime.so.*"))
	for _, file := range versions {
		if isFile(file) {
			return file
		}
	}
	return ""
}

// existing gives the path of a file that somebody named.
func existing(by, path string) (string, error) {
	full := absolute(path)
	info, err := os.Stat(full)
	switch {
	case err != nil:
		return "", core.Faultf(core.NotFound, by, path, "there is no such file")
	case !info.Mode().IsRegular():
		return "", core.Faultf(core.Invalid, by, path, "it is not a file")
	}
	return full, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func split(list string) []string {
	var folders []string
	for _, dir := range filepath.SplitList(list) {
		if dir != "" {
			folders = append(folders, absolute(dir))
		}
	}
	return folders
}

// absolute resolves a path as the person who gave it meant it: a capsule runs in its own
// folder, and $PWD still has that of the program that started it.
func absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	if pwd := os.Getenv("PWD"); filepath.IsAbs(pwd) {
		return filepath.Join(pwd, path)
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

func programFolder() string {
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	return filepath.Dir(exe)
}
