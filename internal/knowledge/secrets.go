package knowledge

import (
	"fmt"
	"regexp"
	"strings"
)

// secrets are patterns of credentials that must not be stored.
//
//nolint:gochecknoglobals // never written
var secrets = []struct {
	what string
	re   func() *regexp.Regexp
	mark string // a cheap substring without which re can't match; rare in other texts
}{
	{
		"a private key", compiled(`-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\[rn])*(?:[A-Za-z0-9+/=](?:\s|\\[rn])*){64}`),
		"PRIVATE KEY-----",
	},
	{"an age key", compiled(`\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b`), "AGE-SECRET-KEY-1"},
	{"an AWS access key", compiled(`\bAKIA[0-9A-Z]{16}\b`), "AKIA"},
	{"an AWS access key", compiled(`\bASIA[0-9A-Z]{16}\b`), "ASIA"},
	{"an Azure storage key", compiled(`\bAccountKey=[A-Za-z0-9+/]{86}==`), "AccountKey="},
	{"a Databricks token", compiled(`\bdapi[0-9a-f]{32}\b`), "dapi"},
	{
		"a Discord webhook", compiled(`discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,}\b`),
		"/api/webhooks/",
	},
	{"a DigitalOcean token", compiled(`\bdo[op]_v1_[a-f0-9]{64}\b`), "_v1_"},
	{"a Docker Hub token", compiled(`\bdckr_pat_[A-Za-z0-9_-]{27}\b`), "dckr_pat_"},
	{"a GitHub token", compiled(`\bghp_[A-Za-z0-9]{36,}\b`), "ghp_"},
	{"a GitHub token", compiled(`\bgho_[A-Za-z0-9]{36,}\b`), "gho_"},
	{"a GitHub token", compiled(`\bghu_[A-Za-z0-9]{36,}\b`), "ghu_"},
	{"a GitHub token", compiled(`\bghs_[A-Za-z0-9]{36,}\b`), "ghs_"},
	{"a GitHub token", compiled(`\bghr_[A-Za-z0-9]{36,}\b`), "ghr_"},
	{"a GitHub token", compiled(`\bgithub_pat_[A-Za-z0-9_]{50,}\b`), "github_pat_"},
	{"a GitLab token", compiled(`\bglpat-[A-Za-z0-9_-]{20,}\b`), "glpat-"},
	{"a Google API key", compiled(`\bAIza[0-9A-Za-z_-]{35}\b`), "AIza"},
	{"a Google client secret", compiled(`\bGOCSPX-[0-9A-Za-z_-]{28}\b`), "GOCSPX-"},
	{"a Grafana token", compiled(`\bglsa_[A-Za-z0-9]{32}_[a-f0-9]{8}\b`), "glsa_"},
	{"a Hugging Face token", compiled(`\bhf_[A-Za-z]{34}\b`), "hf_"},
	{"a Linear key", compiled(`\blin_api_[A-Za-z0-9]{40}\b`), "lin_api_"},
	{"a New Relic key", compiled(`\bNRAK-[A-Z0-9]{27}\b`), "NRAK-"},
	{
		"a PuTTY private key", compiled(
			`PuTTY-User-Key-File-[0-9]: (?:[^\n]*\n)*?Private-Lines: [0-9]+\n[A-Za-z0-9+/=]{20,}`),
		"PuTTY-User-Key-File-",
	},
	{"a PyPI token", compiled(`\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}`), "pypi-AgEI"},
	{"a SendGrid key", compiled(`\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b`), "SG."},
	{"a Shopify token", compiled(`\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b`), "shp"},
	{"a Slack token", compiled(`\bxox[abprs]-[0-9A-Za-z-]{20,}\b`), "xox"},
	{
		"a Slack webhook", compiled(
			`hooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{24}\b`),
		"hooks.slack.com",
	},
	{"a Stripe key", compiled(`\b[sr]k_live_[0-9a-zA-Z]{20,}\b`), "k_live_"},
	{"a Telegram token", compiled(`\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b`), ":AA"},
	{"a Vault token", compiled(`\bhvs\.[A-Za-z0-9_-]{24,}\b`), "hvs."},
	{"an Anthropic API key", compiled(`\bsk-ant-[A-Za-z0-9_-]{32,}\b`), "sk-ant-"},
	{"an OpenAI API key", compiled(`\bsk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b`), "T3BlbkFJ"},
	{"an OpenAI API key", compiled(`\bsk-proj-[A-Za-z0-9_-]{40,}\b`), "sk-proj-"},
	{"an npm token", compiled(`\bnpm_[A-Za-z0-9]{36}\b`), "npm_"},
	{"a tenet token", compiled(`\btenet_[A-Za-z0-9_-]{43}\b`), "tenet_"},
	{
		"a signed token (JWT)", compiled(
			`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}`),
		".eyJ",
	},
	// A password of letters only is an example; a generated one has a digit.
	{"an address with a password", compiled(
		`\b[a-z][a-z0-9+]{2,}://[A-Za-z0-9._-]+:(?:[A-Za-z_~!*-]*[0-9][A-Za-z0-9_~!*-]*){3}@[A-Za-z0-9.-]+`), "://"},
}

// placeholders returns texts that examples have in place of a secret. A match that contains one is not a secret.
func placeholders() []string {
	return []string{
		"EXAMPLE", "PASSWORD", "SECRET", "CHANGEME", "PLACEHOLDER", "XXXX", "1234", "YOUR", "LOCALHOST",
		"127.0.0.1",
	}
}

// secretFault says which credential a text seems to contain, and where, or returns "". It ignores zero-width
// characters, which can hide a secret from readers but not from programs.
func secretFault(s string) string {
	if fault := findSecret(s); fault != "" {
		return fault
	}
	plain := strings.Map(func(r rune) rune {
		if zeroWidth(r) {
			return -1
		}
		return r
	}, s)
	if len(plain) == len(s) {
		return ""
	}
	if fault := findSecret(plain); fault != "" {
		return "without its invisible characters, " + fault
	}
	return ""
}

func findSecret(s string) string {
	for _, k := range secrets {
		if !strings.Contains(s, k.mark) {
			continue
		}
	matches:
		for _, m := range k.re().FindAllStringIndex(s, -1) {
			found := strings.ToUpper(s[m[0]:m[1]])
			// The documented placeholder keys, and the one of every Azure storage emulator.
			if strings.Contains(found, "EXAMPLE") || strings.Contains(found, "EBY8VDM02XNOCQFLQUWJPLLMETLCDXJ1") {
				continue
			}
			if k.mark == "://" {
				for _, p := range placeholders() {
					if strings.Contains(found, p) {
						continue matches
					}
				}
			}
			return fmt.Sprintf("%s: looks like %s; remove it, and revoke it if it is real", place(s, m[0]), k.what)
		}
	}
	return ""
}
