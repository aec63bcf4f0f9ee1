package confine

import (
	"fmt"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// refused are the system calls that no capsule needs: they look into other processes, change
// the system, or go around what is refused otherwise (io_uring opens sockets unseen).
var refused = []string{
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
	"mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
	"unshare", "setns", "open_by_handle_at", "name_to_handle_at",
	"bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "fanotify_init", "lookup_dcookie",
	"kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname", "setdomainname", "syslog", "vhangup", "nfsservctl",
	"iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "uselib", "_sysctl", "sysfs",
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	"chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", // Landlock does not look at modes and owners
	"setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
	"shmget", "shmat", "shmctl", "semget", "semctl", "semop", "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink", // nor at these, which all programs of a user share
	"setsid", "setpgid", // what it starts stays in its process group, is counted with it and ends with it
}

// newNamespaces are the flags of clone that make namespaces.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

type condition = seccomp.Condition

func not(argument uint32, value uint64) condition {
	return condition{Argument: argument, Operation: seccomp.NotEqual, Value: value}
}

func bits(argument uint32, value uint64) condition {
	return condition{Argument: argument, Operation: seccomp.BitsSet, Value: value}
}

// refusedIf are the system calls that are refused by their arguments; a line refuses when all
// its conditions hold. The kernel reads 32 bits of most arguments and the filter 64, so
// conditions on such values are "is not" or "has the bit": rubbish above them does not help.
func (c *Cage) refusedIf() []seccomp.NameWithConditions {
	var list []seccomp.NameWithConditions
	add := func(name string, conditions ...condition) {
		list = append(list, seccomp.NameWithConditions{Name: name, Conditions: conditions})
	}
	add("clone", bits(0, newNamespaces))
	if c.Processes == 0 {
		add("clone", condition{Argument: 0, Operation: seccomp.BitsNotSet, Value: unix.CLONE_THREAD})
	}
	// The limits and the priority of other processes: 0 is the one that asks.
	add("prlimit64", not(0, 0))
	add("setpriority", not(1, 0))
	add("ioprio_set", not(1, 0))
	for _, name := range []string{"sched_setscheduler", "sched_setparam", "sched_setattr"} {
		add(name, not(0, 0))
	}
	const datagram, sequenced = 2, 4 // bits of the socket type: stream is 1, seqpacket 5
	add("socketpair", bits(1, datagram))
	if !c.Network {
		add("socket", not(0, unix.AF_UNIX))
		add("socket", bits(1, datagram|sequenced))
		add("sendto", not(4, 0))
		return list
	}
	add("socket", not(0, unix.AF_UNIX), not(0, unix.AF_INET), not(0, unix.AF_INET6), not(0, unix.AF_NETLINK))
	add("socket", not(2, 0), not(2, unix.IPPROTO_TCP), not(2, unix.IPPROTO_UDP)) // Landlock does not see multipath TCP
	if !c.Names {
		add("socket", not(0, unix.AF_NETLINK), bits(1, datagram))
	}
	return list
}

// filter loads the filters on this thread; what it starts inherits them.
func (c *Cage) filter() error {
	info, err := arch.GetInfo("")
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	group := seccomp.SyscallGroup{Action: seccomp.ActionErrno}
	names := refused
	if !c.Network {
		names = append(names[:len(names):len(names)], "connect")
	}
	if c.Processes == 0 {
		names = append(names[:len(names):len(names)], "fork", "vfork")
	}
	for _, n := range names {
		if _, ok := info.SyscallNames[n]; ok {
			group.Names = append(group.Names, n)
		}
	}
	for _, n := range c.refusedIf() {
		if _, ok := info.SyscallNames[n.Name]; ok {
			group.NamesWithCondtions = append(group.NamesWithCondtions, n)
		}
	}
	// clone3 hides its flags in memory. Where it is not there, programs take clone.
	unknown := seccomp.SyscallGroup{Names: []string{"clone3"}, Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)}
	for _, g := range []seccomp.SyscallGroup{group, unknown} {
		f := seccomp.Filter{NoNewPrivs: true, Policy: seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{g}}}
		if err := seccomp.LoadFilter(f); err != nil {
			return fmt.Errorf("seccomp: %w", err)
		}
	}
	return nil
}
