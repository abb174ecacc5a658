package pgtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tenet/internal/needs"
)

// A Network is a network of its own for a server, behind a router that can lose what it should pass on. Nobody is told:
// as on a line that was cut, the two ends only hear nothing more of each other.
type Network struct {
	t              testing.TB
	router, inside string // name spaces
	client, server string // addresses
}

// NewNetwork makes a network for the test: for [Options] Network. It takes Linux, root and the program ip; where one is
// missing the test is skipped.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	if os.Getuid() != 0 {
		needs.Missing(t, "only root can make a network")
	}
	needs.Program(t, "ip", "Debian: apt-get install iproute2")
	// 198.18.0.0/15 is set aside for tests of networks.
	n := rand.IntN(1 << 14)
	third, fourth := n>>6, n&63<<2
	name := fmt.Sprintf("pgt%d", n)
	w := &Network{
		t: t, router: name + "r", inside: name + "s",
		client: fmt.Sprintf("198.18.%d.%d", third, fourth+1), server: fmt.Sprintf("198.19.%d.%d", third, fourth+2),
	}
	gate, far := fmt.Sprintf("198.18.%d.%d", third, fourth+2), fmt.Sprintf("198.19.%d.%d", third, fourth+1)
	t.Cleanup(func() {
		for _, space := range []string{w.router, w.inside} {
			_ = ip("netns", "delete", space) // with its ends of the lines, and so the lines
		}
	})
	for i, line := range []string{
		"netns add " + w.router,
		"netns add " + w.inside,
		"link add " + name + "a type veth peer name " + name + "b netns " + w.router,
		"-n " + w.router + " link add " + name + "c type veth peer name " + name + "d netns " + w.inside,
		"addr add " + w.client + "/30 dev " + name + "a",
		"-n " + w.router + " addr add " + gate + "/30 dev " + name + "b",
		"-n " + w.router + " addr add " + far + "/30 dev " + name + "c",
		"-n " + w.inside + " addr add " + w.server + "/30 dev " + name + "d",
		"link set " + name + "a up",
		"-n " + w.router + " link set " + name + "b up",
		"-n " + w.router + " link set " + name + "c up",
		"-n " + w.inside + " link set " + name + "d up",
		"-n " + w.inside + " link set lo up",
		"route add " + w.server + "/32 via " + gate,
		"-n " + w.inside + " route add default via " + far,
		"netns exec " + w.router + " sysctl -q -w net.ipv4.ip_forward=1",
	} {
		if err := ip(strings.Fields(line)...); err != nil {
			if i == 0 {
				needs.Missing(t, "a network can't be made here: %v", err)
			}
			t.Fatal(err)
		}
	}
	return w
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// LoseRequests loses what goes to the server.
func (w *Network) LoseRequests() { w.lose(w.server) }

// LoseAnswers loses what comes from the server.
func (w *Network) LoseAnswers() { w.lose(w.client) }

func (w *Network) lose(address string) {
	w.t.Helper()
	if err := ip("-n", w.router, "route", "replace", "blackhole", address+"/32"); err != nil {
		w.t.Fatal(err)
	}
}

// Mend loses nothing more.
func (w *Network) Mend() {
	w.t.Helper()
	for _, address := range []string{w.server, w.client} {
		_ = ip("-n", w.router, "route", "delete", "blackhole", address+"/32") // most often one of the two is not there
	}
}

// Run runs a program where the server is, with input, and returns what it prints.
func (w *Network) Run(t testing.TB, input, program string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ip", append([]string{"netns", "exec", w.inside, program}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	return cmd.CombinedOutput()
}

// enter runs start, which starts a process, inside of the network.
func (w *Network) enter(start func() error) error {
	if w == nil {
		return start()
	}
	failed := make(chan error)
	go func() {
		// The thread is given up with the goroutine: nothing else may run where it is now.
		runtime.LockOSThread()
		space, err := os.Open("/run/netns/" + w.inside)
		if err == nil {
			defer func() { _ = space.Close() }()
			err = unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = start()
		}
		failed <- err
	}()
	return <-failed
}

// host returns the address that the server listens on.
func (w *Network) host() string {
	if w == nil {
		return "127.0.0.1"
	}
	return w.server
}
