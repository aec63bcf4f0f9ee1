package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Rights by what they are for. A file has the first four only.
const (
	ofFiles   = ll.AccessFSExecute | ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSIoctlDev
	toLook    = ll.AccessFSReadFile | ll.AccessFSReadDir
	toRead    = toLook | ll.AccessFSExecute
	toWrite   = toLook | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSRemoveDir | ll.AccessFSRemoveFile | ll.AccessFSMakeDir | ll.AccessFSMakeReg | ll.AccessFSMakeSock | ll.AccessFSMakeFifo | ll.AccessFSMakeSym | ll.AccessFSRefer | ll.AccessFSResolveUnix
	toControl = toLook | ll.AccessFSWriteFile | ll.AccessFSIoctlDev
)

// The versions of Landlock that brought what is used here.
const (
	abiRefer, abiTruncate, abiTCP, abiIoctl, abiScope, abiUnix = 2, 3, 4, 5, 6, 9
)

// abi gives the version of Landlock in this kernel; 0: there is none.
func abi() int {
	v, err := ll.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return v
}

// handled gives everything that is refused unless a rule allows it.
func handled(version int) ll.RulesetAttr {
	a := ll.RulesetAttr{HandledAccessFS: ll.AccessFSRefer - 1} // all rights of the first version
	for _, r := range []struct {
		since int
		right uint64
	}{{abiRefer, ll.AccessFSRefer}, {abiTruncate, ll.AccessFSTruncate}, {abiIoctl, ll.AccessFSIoctlDev}, {abiUnix, ll.AccessFSResolveUnix}} {
		if version >= r.since {
			a.HandledAccessFS |= r.right
		}
	}
	if version >= abiTCP {
		a.HandledAccessNet = ll.AccessNetBindTCP | ll.AccessNetConnectTCP
	}
	if version >= abiScope {
		a.Scoped = ll.ScopeAbstractUnixSocket | ll.ScopeSignal
	}
	return a
}

// ruleset makes the rules of a cage. The caller closes the descriptor. Paths that are not there
// allow nothing.
func (c *Cage) ruleset(version int) (fd int, err error) {
	attr := handled(version)
	if fd, err = ll.LandlockCreateRuleset(&attr, 0); err != nil {
		return -1, err
	}
	for _, l := range []struct {
		paths  []string
		rights uint64
	}{{systemRead, toRead}, {systemLook(), toLook}, {systemDevices, toLook | ll.AccessFSWriteFile}, {c.Read, toRead}, {c.Look, toLook}, {c.Write, toWrite}, {c.Devices, toControl}} {
		for _, p := range l.paths {
			if err := allow(fd, p, l.rights&attr.HandledAccessFS); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EACCES) {
				return -1, fmt.Errorf("%s: %w", p, err)
			}
		}
	}
	if attr.HandledAccessNet == 0 || !c.Network {
		return fd, nil
	}
	for _, port := range c.Ports {
		if err := ll.LandlockAddNetPortRule(fd, &ll.NetPortAttr{AllowedAccess: ll.AccessNetConnectTCP, Port: uint64(port)}, 0); err != nil {
			return -1, fmt.Errorf("port %d: %w", port, err)
		}
	}
	return fd, nil
}

func allow(ruleset int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFiles
	}
	return ll.LandlockAddPathBeneathRule(ruleset, &ll.PathBeneathAttr{ParentFd: fd, AllowedAccess: rights}, 0)
}

// systemLook is what every program reads of a system beside systemRead. Configuration is named
// file by file: /etc has secrets too.
func systemLook() []string {
	return append(globbed("/etc/python*", "/etc/ld.so.*"),
		"/etc/alternatives", "/etc/localtime", "/etc/timezone", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/host.conf",
		"/etc/resolv.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/mime.types", "/etc/locale.alias", "/etc/os-release", "/etc/fonts",
		"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/etc/OpenCL", "/etc/vulkan",
		"/proc", "/sys/devices", "/sys/fs/cgroup", "/sys/kernel/mm", "/sys/bus", "/sys/class")
}

var systemDevices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

func globbed(patterns ...string) []string {
	var list []string
	for _, p := range patterns {
		found, _ := filepath.Glob(p)
		list = append(list, found...)
	}
	return list
}

func readFile(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}
