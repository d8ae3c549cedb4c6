// Command seccomp-profile prints containerd's default seccomp profile for a process without capabilities: what
// `seccompProfile: {type: RuntimeDefault}` of a pod gives. The JSON is the part linux.seccomp of an OCI runtime spec.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func main() {
	process := &specs.Process{Capabilities: &specs.LinuxCapabilities{}}
	profile := seccomp.DefaultProfile(&specs.Spec{Process: process})
	if err := json.NewEncoder(os.Stdout).Encode(profile); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
