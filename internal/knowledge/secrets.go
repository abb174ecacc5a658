package knowledge

import (
	"fmt"
	"regexp"
	"strings"
)

// secrets are patterns of credentials that must not be stored.
//
//nolint:gochecknoglobals // compiled once, never written
var secrets = []struct {
	what string
	re   *regexp.Regexp
	mark string // a cheap substring without which re can't match; rare in other texts
}{
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\[rn])+(?:[A-Za-z0-9+/=](?:\s|\\[rn])*){64}`), "PRIVATE KEY-----"},
	{"an age key", regexp.MustCompile(`\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b`), "AGE-SECRET-KEY-1"},
	{"an AWS access key", regexp.MustCompile(`\bAKIA[0-9A-Z]{16}\b`), "AKIA"},
	{"an AWS access key", regexp.MustCompile(`\bASIA[0-9A-Z]{16}\b`), "ASIA"},
	{"an Azure storage key", regexp.MustCompile(`\bAccountKey=[A-Za-z0-9+/]{86}==`), "AccountKey="},
	{"a Databricks token", regexp.MustCompile(`\bdapi[0-9a-f]{32}\b`), "dapi"},
	{"a DigitalOcean token", regexp.MustCompile(`\bdo[op]_v1_[a-f0-9]{64}\b`), "_v1_"},
	{"a Docker Hub token", regexp.MustCompile(`\bdckr_pat_[A-Za-z0-9_-]{27}\b`), "dckr_pat_"},
	{"a GitHub token", regexp.MustCompile(`\bghp_[A-Za-z0-9]{36,}\b`), "ghp_"},
	{"a GitHub token", regexp.MustCompile(`\bgho_[A-Za-z0-9]{36,}\b`), "gho_"},
	{"a GitHub token", regexp.MustCompile(`\bghu_[A-Za-z0-9]{36,}\b`), "ghu_"},
	{"a GitHub token", regexp.MustCompile(`\bghs_[A-Za-z0-9]{36,}\b`), "ghs_"},
	{"a GitHub token", regexp.MustCompile(`\bghr_[A-Za-z0-9]{36,}\b`), "ghr_"},
	{"a GitHub token", regexp.MustCompile(`\bgithub_pat_[A-Za-z0-9_]{50,}\b`), "github_pat_"},
	{"a GitLab token", regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{20,}\b`), "glpat-"},
	{"a Google API key", regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}\b`), "AIza"},
	{"a Google client secret", regexp.MustCompile(`\bGOCSPX-[0-9A-Za-z_-]{28}\b`), "GOCSPX-"},
	{"a Grafana token", regexp.MustCompile(`\bglsa_[A-Za-z0-9]{32}_[a-f0-9]{8}\b`), "glsa_"},
	{"a Hugging Face token", regexp.MustCompile(`\bhf_[A-Za-z]{34}\b`), "hf_"},
	{"a Linear key", regexp.MustCompile(`\blin_api_[A-Za-z0-9]{40}\b`), "lin_api_"},
	{"a New Relic key", regexp.MustCompile(`\bNRAK-[A-Z0-9]{27}\b`), "NRAK-"},
	{"a PyPI token", regexp.MustCompile(`\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}`), "pypi-AgEI"},
	{"a SendGrid key", regexp.MustCompile(`\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b`), "SG."},
	{"a Shopify token", regexp.MustCompile(`\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b`), "shp"},
	{"a Slack token", regexp.MustCompile(`\bxox[abprs]-[0-9A-Za-z-]{20,}\b`), "xox"},
	{
		"a Slack webhook", regexp.MustCompile(
			`hooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{24}\b`),
		"hooks.slack.com",
	},
	{"a Stripe key", regexp.MustCompile(`\b[sr]k_live_[0-9a-zA-Z]{20,}\b`), "k_live_"},
	{"a Telegram token", regexp.MustCompile(`\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b`), ":AA"},
	{"a Vault token", regexp.MustCompile(`\bhvs\.[A-Za-z0-9_-]{24,}\b`), "hvs."},
	{"an Anthropic API key", regexp.MustCompile(`\bsk-ant-[A-Za-z0-9_-]{32,}\b`), "sk-ant-"},
	{"an OpenAI API key", regexp.MustCompile(`\bsk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b`), "T3BlbkFJ"},
	{"an OpenAI API key", regexp.MustCompile(`\bsk-proj-[A-Za-z0-9_-]{40,}\b`), "sk-proj-"},
	{"an npm token", regexp.MustCompile(`\bnpm_[A-Za-z0-9]{36}\b`), "npm_"},
	{"a tenet token", regexp.MustCompile(`\btenet_[A-Za-z0-9_-]{43}\b`), "tenet_"},
	{
		"a signed token (JWT)", regexp.MustCompile(
			`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}`),
		".eyJ",
	},
	// A password of letters only is an example; a generated one has a digit.
	{"an address with a password", regexp.MustCompile(
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
		for _, m := range k.re.FindAllStringIndex(s, -1) {
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
