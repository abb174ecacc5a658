package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tenet/internal/coherence"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// parseKind returns the kind that a word names, whatever its letters are.
func parseKind(text string) (knowledge.Kind, error) {
	if kind, err := knowledge.ParseKind(strings.ToLower(text)); err == nil {
		return kind, nil
	}
	return knowledge.ParseKind(text)
}

// parseKey returns the key that one word names.
func parseKey(text string) (knowledge.Key, error) {
	if kind, id, ok := strings.Cut(text, "/"); ok {
		text = strings.ToLower(kind) + "/" + id
	}
	key, err := knowledge.ParseKey(text)
	if err == nil {
		return key, nil
	}
	if kind, no := parseKind(text); no == nil {
		return key, usageError("%s is a kind: name a document of it, as in %s/ID; `tenet list %s` lists them", text,
			kind, kind.Plural())
	}
	return key, usageError("%s", err)
}

// parseName returns the key that one word names, or an id alone, without a kind: [findKeys] looks for that.
func parseName(text string) (knowledge.Key, error) {
	if _, err := parseKind(text); err == nil || strings.Contains(text, "/") {
		return parseKey(text)
	}
	key := knowledge.Key{ID: text}
	if !(knowledge.Key{Kind: knowledge.KindRule, ID: text}).Sound() {
		return parseKey(text)
	}
	return key, nil
}

// findKeys gives each of some keys that is an id alone the kind of the one document that has it.
func findKeys(ctx context.Context, a *app, d *door, keys ...*knowledge.Key) error {
	_, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (any, error) {
		for _, key := range keys {
			if key.Kind != "" {
				continue
			}
			found, err := findKey(ctx, d, key.ID)
			if err != nil {
				return nil, err
			}
			*key = found
		}
		return nil, nil
	})
	return err
}

// shownKinds returns the kinds that everybody may read. The others are named with their kind: looking for an id there
// would be a refused call in the audit that nobody has made.
func shownKinds() []knowledge.Kind {
	return slices.DeleteFunc(knowledge.Kinds(), func(k knowledge.Kind) bool { return knowledge.Describe(k).Hidden })
}

// findKey returns the key of the one document with an id, of those kinds that everybody may read.
func findKey(ctx context.Context, s store.Reader, id string) (knowledge.Key, error) {
	var found []string
	var key knowledge.Key
	for _, kind := range shownKinds() {
		one := knowledge.Key{Kind: kind, ID: id}
		switch _, err := s.Get(ctx, one); {
		case err == nil:
			key, found = one, append(found, one.String())
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrForbidden): // nor may the caller know of it
		default:
			return key, err
		}
	}
	switch len(found) {
	case 0:
		near := otherCase(ctx, s, id)
		if near == "" {
			near = coherence.Nearest(ctx, s, id, knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate)
		}
		return key, &missingIDError{id, near}
	case 1:
		return key, nil
	}
	return key, usageError("%s is the id of %s: say which, by its kind", id, strings.Join(found, " and "))
}

// otherCase returns a document that has an id in other letters, "" if none is found: ids compare byte by byte.
func otherCase(ctx context.Context, s store.Reader, id string) string {
	for _, other := range []string{strings.ToUpper(id), strings.ToLower(id)} {
		for _, kind := range shownKinds() {
			key := knowledge.Key{Kind: kind, ID: other}
			if _, err := s.Get(ctx, key); err == nil && other != id {
				return key.String()
			}
		}
	}
	return ""
}

// orNearest adds to the error of any command for a document that is not there the one that was probably meant.
func (a *app) orNearest(ctx context.Context, err error) error {
	none, ok := errors.AsType[*store.NotFoundError](err)
	if !ok || none.Archived {
		return err
	}
	d, no := a.openToLook(ctx)
	if no != nil {
		return err
	}
	defer a.close(d)
	near, _ := withTimeout(ctx, a.Timeout, func(ctx context.Context) (string, error) {
		return coherence.Meant(ctx, d, none.Key), nil
	})
	if near == "" {
		return err
	}
	return &nearError{err, near}
}

// A nearError is an error for a document that is not there, with the one that was probably meant.
type nearError struct {
	err  error
	near string
}

// Error puts the question behind the first line: others say what to do.
func (e *nearError) Error() string {
	first, rest, more := strings.Cut(e.err.Error(), "\n")
	text := first + ": did you mean " + e.near + "?"
	if more {
		text += "\n" + rest
	}
	return text
}

func (e *nearError) Unwrap() error { return e.err }

// A missingIDError says that no document has an id. It is [store.ErrNotFound].
type missingIDError struct{ id, near string }

func (e *missingIDError) Error() string {
	if e.near != "" {
		return "no document has the id " + e.id + ": did you mean " + e.near + "?"
	}
	return fmt.Sprintf("no document has the id %[1]s: `tenet search %[1]s` looks for it in texts; what was purged "+
		"is named with its kind, as in rule/%[1]s", e.id)
}

func (e *missingIDError) Is(target error) bool { return target == store.ErrNotFound }

// takeKey returns the key that arguments begin with: in one word, rule/SEC-001, in two, rule SEC-001, or as an id
// alone, SEC-001, whose kind [findKeys] finds; and the arguments behind it.
func takeKey(args []string) (knowledge.Key, []string, error) {
	if kind, err := parseKind(args[0]); err == nil && len(args) > 1 && !strings.Contains(args[1], "/") {
		key, err := parseKey(string(kind) + "/" + args[1])
		return key, args[2:], err
	}
	key, err := parseName(args[0])
	return key, args[1:], err
}

// oneKey returns the key that all arguments name together.
func oneKey(args []string) (knowledge.Key, error) {
	key, rest, err := takeKey(args)
	if err == nil && len(rest) > 0 && strings.Contains(rest[0], "=") {
		return key, usageError("%q is too much: fields are given with a flag, as in --set %[1]q", rest[0])
	}
	if err == nil && len(rest) > 0 {
		return key, usageError("%q is too much: one document is named, as rule/SEC-001 or rule SEC-001", rest[0])
	}
	return key, err
}

// readKeys returns the keys that arguments name. Behind a kind stand ids of it, until a whole key or another kind
// comes; an id before any kind is for [findKeys].
func readKeys(args []string) ([]knowledge.Key, error) {
	var keys []knowledge.Key
	var kind string
	for i, arg := range args {
		if _, err := parseKind(arg); err == nil && i+1 < len(args) && !strings.Contains(args[i+1], "/") {
			kind = arg
			continue
		}
		if kind != "" && !strings.Contains(arg, "/") {
			arg = kind + "/" + arg
		}
		key, err := parseName(arg)
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
		"delete": "retire", "del": "retire", "rm": "retire", "remove": "retire", "archive": "retire", "show": "get",
		"cat": "get", "view": "get",
		"describe": "get", "read": "get", "ls": "list", "create": "new", "add": "put", "apply": "put", "set": "patch",
		"update": "patch",
		"find":   "search", "grep": "search", "log": "history", "blame": "history", "revert": "undo",
		"rollback": "undo",
		"unretire": "restore",
		"start":    "serve", "run": "serve", "server": "serve", "up": "serve", "health": "status", "info": "status",
		"ping":  "status",
		"login": "token", "whoami": "status", "user": "token", "users": "token", "scan": "check", "verify": "check",
		"dump": "export", "load": "import", "rollout": "label", "settings": "config", "env": "config", "stats": "effect",
		"tail": "watch", "lint": "check", "ask": "guidance",
		"logs": "watch", "auth": "token", "approve": "review approve", "reject": "review reject",
		"merge": "review apply", "close": "review reject", "comment": "review comment", "withdraw": "review withdraw",
		"pr": "review", "save": "put", "clone": "import", "pull": "sync",
	}
}

// noCommands returns what to do instead of commands that other programs have and this one does not need.
func noCommands() map[string]string {
	return map[string]string{
		"stop": "`tenet serve` ends with Ctrl-C or SIGTERM", "restart": "`tenet serve` ends with Ctrl-C or SIGTERM",
		"init": "none is needed: `tenet serve` makes what is not there",
		"api":  "REST is under /api/v1 of the running tenet, described at its /docs",
		"open": "`tenet status` shows the address to open", "browse": "`tenet status` shows the address to open",
		"web": "`tenet status` shows the address to open", "ui": "`tenet status` shows the address to open",
		"validate": "`tenet put FILE --dry-run` judges documents, and `tenet check` the files of a work tree",
		"test":     "`tenet put FILE --dry-run` judges documents, and `tenet check` the files of a work tree",
		"copy":     "`tenet get KEY > FILE`, give it another id, and `tenet put FILE`",
		"cp":       "`tenet get KEY > FILE`, give it another id, and `tenet put FILE`",
		"rename":   "an id stays: `tenet get KEY > FILE`, give it another id, `tenet put FILE` and `tenet retire KEY`",
		"mv":       "an id stays: `tenet get KEY > FILE`, give it another id, `tenet put FILE` and `tenet retire KEY`",
		"man":      "`tenet COMMAND --help` says what a command does",
		"install":  "`tenet hook install` and `tenet mcp install` set an assistant up",
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
	if instead, ok := noCommands()[name]; ok {
		return usageError("no command %q: %s", name, instead)
	}
	other := synonyms()
	near := knowledge.Nearest(name, slices.Values(names))
	if near == "" || other[name] != "" {
		near = other[cmp.Or(knowledge.Nearest(name, maps.Keys(other)), name)]
	}
	if near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	if kind, err := parseKind(name); err == nil {
		list := fmt.Sprintf("`tenet list %s` lists them", kind.Plural())
		if near != "" {
			list = hint + " " + list
		}
		hint = list
	} else if key, err := parseKey(name); err == nil && strings.Contains(name, "/") {
		hint = fmt.Sprintf("`tenet get %s` shows it", key)
	}
	return usageError("no command %q: %s", name, hint)
}

// knowsTopics makes "help" refuse the name of a command that there is not, instead of printing the help of all.
func knowsTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, help := range root.Commands() {
		show := help.Run
		if help.Name() != "help" || show == nil {
			continue
		}
		help.Run = nil
		help.RunE = func(cmd *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			switch {
			case len(rest) > 0 && (err != nil || found == root):
				return unknownCommand(root, rest[0])
			case len(rest) > 0 && found.HasSubCommands():
				return unknownIn(found, rest[0])
			}
			show(cmd, args)
			return nil
		}
	}
}

// asGroup makes a command with others below it refuse the name of one that is not there.
func asGroup(group *cobra.Command) {
	group.Args = cobra.ArbitraryArgs
	group.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknownIn(cmd, args[0])
	}
}

// unknownIn refuses the name of a command that there is not in a group, and says which was probably meant.
func unknownIn(group *cobra.Command, name string) error {
	var names []string
	for _, c := range group.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	hint := "want " + strings.Join(names, ", ")
	if near := knowledge.Nearest(name, slices.Values(names)); near != "" {
		hint = fmt.Sprintf("did you mean %q? There are %s", near, strings.Join(names, ", "))
	}
	if kind, err := parseKind(group.Name()); err == nil {
		hint += fmt.Sprintf("; documents are read with `tenet list %s` and `tenet get %s/ID`", kind.Plural(), kind)
	}
	return usageError("no command %q in %s: %s", name, group.CommandPath(), hint)
}

// foreignFlags returns the flags for what other programs call by another name, the most likely first.
func foreignFlags() map[string][]string {
	return map[string][]string{
		"jq": {"fields"}, "template": {"fields"}, "format": {"output"}, "L": {"limit"}, "n": {"limit"},
		"max":   {"limit"},
		"count": {"limit"}, "per-page": {"limit"}, "l": {"tag"}, "label": {"tag"}, "selector": {"tag"}, "f": {"file"},
		"filename": {"file"}, "A": {"all"}, "since": {"after"}, "v": {"verbose"}, "assume-yes": {"yes"},
		"message": {"why", "comment"}, "m": {"message", "why", "comment"}, "body": {"why", "message"}, "a": {"all"},
		"type":    {"kind"},
		"comment": {"message"}, "reason": {"why", "message"}, "author": {"actor"}, "user": {"actor"},
		"dry-run": {"diff"}, "force": {"overwrite", "yes"}, "token": {"token-file"}, "host": {"listen", "url"},
		"server": {"url"}, "port": {"listen"}, "p": {"listen"}, "address": {"listen", "url"},
		"addr": {"listen", "url"}, "bind": {"listen"},
	}
}

// takesFile finds in the usage of a command that its argument is a file.
var takesFile = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b(FILE|PATH|SOURCE)\b`)
})

// meantFlag returns the flag of a command that was probably meant by one that it does not have, "" where none is
// likely.
func meantFlag(name string, short bool, known []string) string {
	if slices.Contains([]string{asJSON, asYAML, asCSV, asWide}, name) {
		return "output " + name
	}
	if !short {
		if near := knowledge.Nearest(name, slices.Values(known)); near != "" {
			return near
		}
	}
	for _, other := range foreignFlags()[name] {
		if slices.Contains(known, other) {
			return other
		}
	}
	return ""
}

// unknownFlag adds to what is wrong with a flag the flag that was probably meant.
func unknownFlag(cmd *cobra.Command, err error) error {
	e, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usageError("%s; see `%s --help`", err, cmd.CommandPath())
	}
	name, short := e.GetSpecifiedName(), len(e.GetSpecifiedShortnames()) > 0
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	dashes := "--"
	if short {
		dashes = "-"
	}
	switch meant := meantFlag(name, short, names); {
	case meant != "":
		return usageError("%s has no flag %s%s: did you mean --%s?", cmd.CommandPath(), dashes, name, meant)
	case (name == "f" || name == "filename" || name == "file") && takesFile().MatchString(cmd.Use):
		return usageError("%s has no flag %s%s: the file is an argument, as in `tenet %s`", cmd.CommandPath(), dashes,
			name,
			cmd.Use)
	}
	return usageError("%[1]s has no flag %[2]s%[3]s; see `%[1]s --help`", cmd.CommandPath(), dashes, name)
}

// withScheme completes an address without a scheme, such as localhost:8420. One of this machine speaks HTTP; to another
// one nobody's token goes in the clear unless the address says so.
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
