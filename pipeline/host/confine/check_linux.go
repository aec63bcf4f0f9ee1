package confine

import (
	"fmt"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
)

// filters says whether system calls can be filtered here.
func filters() bool {
	_, err := arch.GetInfo("")
	return err == nil && seccomp.Supported()
}

// Check says what a cage without special needs is made of on this machine.
func Check() []Part {
	version, filtered := abi(), filters()
	no := "this kernel has no Landlock (Linux 5.13 or later, with landlock among its security modules)"
	parts := []Part{{"files", version > 0, no}, {"network", filtered, "this kernel or processor has no filter of system calls"}}
	if version > 0 {
		parts[0].How = fmt.Sprintf("Landlock ABI %d", version)
	}
	if filtered {
		parts[1].How = "seccomp"
	}
	ports := Part{partPorts, version >= abiTCP, fmt.Sprintf("Landlock ABI %d is below %d (Linux 6.7)", version, abiTCP)}
	if ports.OK {
		ports.How = "Landlock, by port; hosts are not told apart"
	}
	signals := Part{"signals to other processes", version >= abiScope, fmt.Sprintf("Landlock ABI %d is below %d (Linux 6.12)", version, abiScope)}
	if signals.OK {
		signals.How = "Landlock"
	}
	calls := Part{"system calls", filtered, parts[1].How}
	if filtered {
		calls.How = "seccomp, no-new-privileges, no capabilities"
	}
	looked := fmt.Sprintf("looked at every %s", interval)
	memory, processes, cpu := looked+", and a limit of reserved memory", looked, "a control group"
	g := control()
	if g.why != "" {
		cpu = g.why
	} else {
		memory, processes = cpu+", "+memory, cpu+", "+processes
	}
	return append(parts, ports, signals, calls, Part{"memory", true, memory}, Part{"processes", true, processes}, Part{partCPU, g.why == "", cpu})
}
