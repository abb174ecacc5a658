package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/needs"
	"tenet/internal/server"
)

// inNginx returns nginx with a recipe in it, which listens at an address.
func inNginx(t *testing.T, program, dir, front, recipe string) *exec.Cmd {
	t.Helper()
	var temps strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temps, "%s_temp_path %s;\n", name, filepath.Join(dir, name))
	}
	put(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(
		"daemon off;\nmaster_process off;\npid %s/pid;\nerror_log %s/error.log;\nevents {}\nhttp {\naccess_log "+
			"off;\n%sserver {\nlisten %s;\n%s\n}\n}\n",
		dir, dir, temps.String(), front, recipe))
	return exec.Command(program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c",
		filepath.Join(dir, "nginx.conf"))
}

// inCaddy returns Caddy with a recipe, whose site it serves at an address, without TLS.
func inCaddy(t *testing.T, program, dir, front, recipe string) *exec.Cmd {
	t.Helper()
	const site = "tenet.example.com {"
	if !strings.Contains(recipe, site) {
		t.Fatalf("the recipe serves no %s", site)
	}
	put(t, filepath.Join(dir, "Caddyfile"), "{\nadmin off\n}\n"+strings.Replace(recipe, site, "http://"+front+" {", 1))
	cmd := exec.Command(program, "run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	return cmd
}

// TestTheRecipesForProxies runs each proxy of deploy with its recipe before a server.
func TestTheRecipesForProxies(t *testing.T) {
	for _, c := range []struct {
		name, recipe string
		in           func(t *testing.T, program, dir, front, recipe string) *exec.Cmd
	}{
		{"nginx", "nginx.conf", inNginx},
		{"caddy", "Caddyfile", inCaddy},
	} {
		t.Run(c.name, func(t *testing.T) {
			program := needs.Program(t, c.name, "Debian: apt-get install nginx-light caddy")
			p := serveProcess(t, filepath.Join(t.TempDir(), "data"), "", "--trusted-proxies", "127.0.0.0/8")
			recipe := strings.ReplaceAll(read(t, filepath.Join("..", "..", "deploy", c.recipe)), "127.0.0.1:8420",
				p.address(t))
			front := freePort(t)
			var said bytes.Buffer
			cmd := c.in(t, program, t.TempDir(), front, recipe)
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			end := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
			t.Cleanup(end)
			if err := eventually(func() bool {
				c, err := net.Dial("tcp", front)
				if err == nil {
					c.Close()
				}
				return err == nil
			}); err != nil {
				end()
				t.Fatalf("it does not listen: %v\n%s", err, &said)
			}
			behindProxy(t, p, "http://"+front)
		})
	}
}

// behindProxy asks a server through the proxy at base what a proxy may spoil.
func behindProxy(t *testing.T, p *process, base string) {
	t.Helper()
	token := strings.TrimSpace(read(t, filepath.Join(p.dir, server.TokenFile)))
	if status, body := fetch(t, http.MethodGet, base+"/api/v1/rules?limit=1", token); status != http.StatusOK {
		t.Errorf("a read through the proxy: %d %s", status, body)
	}
	if status, _ := fetch(t, http.MethodGet, base+"/metrics", token); status != http.StatusNotFound {
		t.Errorf("the measures through the proxy: %d, want 404", status)
	}
	if status, _ := fetch(t, http.MethodGet, base+"/api/v1/rules", "", "X-Forwarded-For",
		"203.0.113.9"); status != http.StatusUnauthorized {
		t.Errorf("a read without a token through the proxy: %d, want 401", status)
	}
	var audit string
	if err := eventually(func() bool {
		audit = p.command(t, "audit", "--output", "json")
		return strings.Contains(audit, "no token")
	}); err != nil || strings.Contains(audit, "203.0.113.9") || !strings.Contains(audit, `"peer": "127.0.0.1"`) {
		t.Errorf("the record takes a caller's word for where it comes from: %v\n%s", err, audit)
	}

	// A stream comes through as it comes, and a change shows in it at once.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v1/live", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	p.command(t, "token", "create", "seen-live", "--role", "viewer")
	var heard bytes.Buffer
	for piece := make([]byte, 4096); !strings.Contains(heard.String(), "seen-live"); {
		n, err := stream.Body.Read(piece)
		heard.Write(piece[:n])
		if err != nil {
			t.Fatalf("the stream through the proxy ends before the change: %v\n%s", err, heard.String())
		}
	}
}
