package storegen

// vocabulary is what texts are made of, the most frequent words first.
//
//nolint:gochecknoglobals // a constant list, never written
var vocabulary = []string{
	"the", "a", "of", "to", "and", "in", "is", "for", "that", "it", "with", "as", "on", "by", "this", "be", "are",
	"not", "or", "from", "when", "which", "one", "all", "each", "every", "must", "should", "never", "always", "if",
	"only", "service", "request", "handler", "error", "test", "code", "function", "value", "file", "name", "type",
	"change", "review", "team", "user", "time", "call", "query", "table", "index", "row", "column", "key", "page",
	"list", "record", "write", "read", "update", "delete", "insert", "commit", "branch", "merge", "release", "deploy",
	"build", "pipeline", "config", "setting", "flag", "option", "default", "timeout", "retry", "limit", "bound",
	"queue", "worker", "thread", "lock", "mutex", "channel", "cache", "memory", "disk", "network", "socket",
	"connection", "pool", "transaction", "session", "token", "secret", "password", "certificate", "log", "metric",
	"trace", "span", "alert", "dashboard", "incident", "report", "owner", "reviewer", "author", "contract", "interface",
	"module", "package", "library", "dependency", "version", "migration", "schema", "field", "parameter", "argument",
	"result", "response", "status", "header", "body", "payload", "message", "event", "stream", "consumer", "producer",
	"topic", "partition", "shard", "replica", "backup", "restore", "snapshot", "archive", "retention", "policy", "rule",
	"practice", "template", "example", "pattern", "structure", "design", "document", "diagram", "decision", "input",
	"output", "validation", "sanitizer", "parser", "encoder", "decoder", "format", "string", "number", "boolean",
	"array", "object", "map", "set", "tree", "graph", "node", "edge", "path", "client", "server", "gateway", "proxy",
	"balancer", "endpoint", "route", "resource", "controller", "middleware", "job", "task", "schedule", "window",
	"batch", "chunk", "buffer", "latency", "throughput", "budget", "capacity", "load", "pressure", "failure", "outage",
	"recovery", "fallback", "degradation", "breaker", "hedge", "probe", "health", "readiness", "permission", "role",
	"principal", "audit", "trail", "compliance", "privacy", "personal", "consent", "erasure", "encryption", "signature",
	"hash", "salt", "vulnerability", "patch", "unit", "integration", "fixture", "mock", "fake", "stub", "assertion",
	"coverage", "benchmark", "profile", "allocation", "garbage", "collector", "pointer", "slice", "closure", "generic",
	"accessibility", "contrast", "keyboard", "screen", "reader", "label", "focus", "translation", "locale", "currency",
	"timezone", "calendar", "rounding", "precision", "overflow", "small", "large", "simple", "clear", "explicit",
	"implicit", "stable", "unstable", "fast", "slow", "safe", "unsafe", "public", "private", "internal", "external",
	"local", "remote", "first", "last", "next", "previous", "early", "late", "empty", "missing", "unknown", "invalid",
	"stale", "fresh", "duplicate", "unique", "shared", "separate", "common", "rare", "avoid", "prefer", "keep", "check",
	"measure", "explain", "reject", "accept", "return", "raise", "wrap", "handle", "close", "open", "start", "stop",
	"wait", "notify", "because", "before", "after", "while", "until", "unless", "instead", "without", "within",
	"between", "across", "under", "over", "again", "together", "apart", "naïve", "café", "Größe", "résumé", "данные",
	"数据库", "ключ", "façade", "señal", "überprüfen", "idempotent", "monotonic", "linearizable", "deterministic",
	"container", "image", "registry", "cluster", "namespace", "manifest", "ingress", "sidecar", "volume", "quota",
	"autoscaler", "rollout", "canary", "toggle", "experiment", "linter", "formatter", "compiler", "runtime",
	"toolchain", "workspace", "monorepo", "submodule", "vendor", "checksum", "lockfile", "provenance", "attestation",
	"paragraph", "heading", "sentence", "glossary", "abbreviation", "audience", "tone", "screenshot", "changelog",
	"migration-guide", "runbook", "playbook",
}

// asciiWords are the words that code is made of.
//
//nolint:gochecknoglobals // a constant list, never written
var asciiWords = []string{
	"which", "every", "should", "never", "always", "service", "request", "handler", "error", "function", "value",
	"change", "review", "query", "table", "index", "column", "record", "write", "update", "delete", "insert", "commit",
	"branch", "merge", "release", "deploy", "build", "pipeline", "config", "setting", "option", "default", "timeout",
	"retry", "limit", "bound", "queue", "worker", "thread", "mutex", "channel", "cache", "memory", "network", "socket",
	"connection", "transaction", "session", "token", "secret", "password", "certificate", "metric", "trace", "alert",
	"dashboard", "incident", "report", "owner", "reviewer", "author", "contract", "interface", "module", "package",
	"library", "dependency", "version", "migration", "schema", "field", "parameter", "argument", "result", "response",
	"status", "header", "payload", "message", "event", "stream", "consumer", "producer", "topic", "partition", "shard",
	"replica", "backup", "restore", "snapshot", "archive", "retention", "policy", "practice", "template", "example",
	"pattern", "structure", "design", "document", "diagram", "decision", "input", "output", "validation", "sanitizer",
	"parser", "encoder", "decoder", "format", "string", "number", "boolean", "array", "object", "graph", "client",
	"server", "gateway", "proxy", "balancer", "endpoint", "route", "resource", "controller", "middleware", "schedule",
	"window", "batch", "chunk", "buffer", "latency", "throughput", "budget", "capacity", "pressure", "failure",
	"outage", "recovery", "fallback", "degradation", "breaker", "hedge", "probe", "health", "readiness", "permission",
	"principal", "audit", "trail", "compliance", "privacy", "personal", "consent", "erasure", "encryption", "signature",
	"vulnerability", "patch",
}

// verbs begin titles.
//
//nolint:gochecknoglobals // a constant list, never written
var verbs = []string{
	"Avoid", "Prefer", "Keep", "Check", "Measure", "Document", "Explain", "Reject", "Return", "Wrap", "Handle", "Close",
	"Bound", "Name", "Test", "Review", "Log", "Limit", "Validate", "Encrypt", "Cache", "Retry", "Never", "Always",
}

// syllables make rare words.
//
//nolint:gochecknoglobals // a constant list, never written
var syllables = []string{
	"ba", "be", "bi", "bo", "bu", "ca", "ce", "ci", "co", "da", "de", "di", "do", "fa", "fe", "fi", "fo", "ga", "ge",
	"gi", "go", "ka", "ke", "ki", "ko", "la", "le", "li", "lo", "ma", "me", "mi", "mo", "na",
}

// subjects are the ids of the categories, the largest first.
//
//nolint:gochecknoglobals // a constant list, never written
var subjects = []string{
	"security", "testing", "api-design", "go", "reviews", "databases", "python", "typescript", "operations",
	"performance", "documentation", "incidents", "observability", "architecture", "git", "dependencies",
	"accessibility", "releases", "configuration", "errors", "concurrency", "logging", "naming", "privacy", "networking",
	"caching", "frontend", "mobile", "infrastructure", "containers", "authentication", "data-modelling", "migrations",
	"messaging", "scheduling", "localization", "licensing", "onboarding", "prompts", "experiments",
}

// tags are free words.
//
//nolint:gochecknoglobals // a constant list, never written
var tags = []string{
	"io", "speed", "memory", "naming", "style", "errors", "logging", "metrics", "tracing", "secrets", "tokens", "sql",
	"migrations", "indexes", "locks", "queues", "retries", "timeouts", "cache", "http", "grpc", "json", "yaml", "csv",
	"unicode", "time", "money", "privacy", "audit", "release", "rollback", "feature-flags", "backup", "restore", "ci",
	"lint", "format", "docs", "comments", "tests", "fixtures", "mocks", "fuzzing", "benchmarks", "profiling", "reviews",
	"commits", "branches", "dependencies", "licences", "containers", "kubernetes", "terraform", "aws", "gcp", "linux",
	"windows", "browser", "css", "forms", "focus", "contrast",
}

// languages are those of scopes, the most frequent first.
//
//nolint:gochecknoglobals // a constant list, never written
var languages = []struct{ name, extension string }{
	{"go", ".go"},
	{"typescript", ".ts"},
	{"python", ".py"},
	{"java", ".java"},
	{"sql", ".sql"},
	{"javascript", ".js"},
	{"rust", ".rs"},
	{"csharp", ".cs"},
	{"kotlin", ".kt"},
	{"swift", ".swift"},
	{"ruby", ".rb"},
	{"php", ".php"},
	{"shell", ".sh"},
	{"yaml", ".yaml"},
	{"terraform", ".tf"},
	{"css", ".css"},
}
