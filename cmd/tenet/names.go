package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tenet/internal/knowledge"
)

// parseKey returns the key that one word names.
func parseKey(text string) (knowledge.Key, error) {
	key, err := knowledge.ParseKey(text)
	if err == nil {
		return key, nil
	}
	if kind, no := knowledge.ParseKind(text); no == nil {
		return key, usageError("%s is a kind: name a document of it, as in %s/ID; `tenet list %s` lists them", text, kind, kind.Plural())
	}
	return key, usageError("%s", err)
}

// takeKey returns the key that arguments begin with, in one word, rule/SEC-001, or in two, rule SEC-001; and the arguments behind it.
func takeKey(args []string) (knowledge.Key, []string, error) {
	if kind, err := knowledge.ParseKind(args[0]); err == nil && len(args) > 1 && !strings.Contains(args[1], "/") {
		key, err := parseKey(string(kind) + "/" + args[1])
		return key, args[2:], err
	}
	key, err := parseKey(args[0])
	return key, args[1:], err
}

// oneKey returns the key that all arguments name together.
func oneKey(args []string) (knowledge.Key, error) {
	key, rest, err := takeKey(args)
	if err == nil && len(rest) > 0 {
		return key, usageError("%q is too much: one document is named, as rule/SEC-001 or rule SEC-001", rest[0])
	}
	return key, err
}

// readKeys returns the keys that arguments name. Behind a kind stand ids of it, until a whole key or another kind comes.
func readKeys(args []string) ([]knowledge.Key, error) {
	var keys []knowledge.Key
	var kind string
	for i, arg := range args {
		if _, err := knowledge.ParseKind(arg); err == nil && i+1 < len(args) && !strings.Contains(args[i+1], "/") {
			kind = arg
			continue
		}
		if kind != "" && !strings.Contains(arg, "/") {
			arg = kind + "/" + arg
		}
		key, err := parseKey(arg)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// synonyms returns the commands for what other programs call by another name.
func synonyms() map[string]string {
	return map[string]string{
		"delete": "retire", "del": "retire", "rm": "retire", "remove": "retire", "archive": "retire", "show": "get", "cat": "get", "view": "get",
		"describe": "get", "read": "get", "ls": "list", "create": "new", "add": "put", "apply": "put", "set": "patch", "update": "patch",
		"find": "search", "grep": "search", "log": "history", "blame": "history", "revert": "undo", "rollback": "undo", "unretire": "restore",
		"start": "serve", "run": "serve", "server": "serve", "up": "serve", "health": "status", "info": "status", "ping": "status",
		"login": "token", "whoami": "token", "tail": "watch", "lint": "check", "ask": "guidance",
	}
}

// unknownCommand refuses the name of a command that there is not, and says which was probably meant.
func unknownCommand(root *cobra.Command, name string) error {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	hint := "`tenet --help` lists the commands"
	other := synonyms()
	near := knowledge.Nearest(name, slices.Values(names))
	if near == "" || other[name] != "" {
		near = other[cmp.Or(knowledge.Nearest(name, maps.Keys(other)), name)]
	}
	if near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return usageError("no command %q: %s", name, hint)
}

// unknownFlag adds to what is wrong with a flag the flag that was probably meant.
func unknownFlag(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok && len(e.GetSpecifiedShortnames()) == 0 {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := knowledge.Nearest(e.GetSpecifiedName(), slices.Values(names)); near != "" {
			return usageError("%s has no flag --%s: did you mean --%s?", cmd.CommandPath(), e.GetSpecifiedName(), near)
		}
	}
	return usageError("%s; see `%s --help`", err, cmd.CommandPath())
}

// withScheme completes an address without a scheme, such as localhost:8420. One of this machine speaks HTTP; to another one nobody's
// token goes in the clear unless the address says so.
func withScheme(address string) string {
	if address == "" || strings.Contains(address, "://") {
		return address
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.TrimSuffix(address, "/")
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); host == "localhost" || err == nil && ip.IsLoopback() {
		return "http://" + address
	}
	return "https://" + address
}
