//go:build unix

package backup

import (
	"errors"
	"strings"
	"testing"
)

func TestAFileThatTheAccountMayNotReadIsToldWithTheAccount(t *testing.T) {
	said := "ERROR: [041]: unable to open file '/etc/pgbackrest.conf' for read: [13] Permission denied"
	for name, account := range map[string]Account{"the lent account": {name: "postgres"}, "who has called": {}} {
		err := NewPgBackRest(PgBackRestOptions{Account: account}).failure(t.Context(), []string{"backup"},
			errors.New("exit status 41"), said)
		lent := account.name != ""
		if err == nil || strings.Contains(err.Error(), "account postgres (--backup-user)") != lent ||
			!strings.Contains(err.Error(), "/etc/pgbackrest.conf") {
			t.Errorf("%s is denied a file: %v; want the file, and the account only where root has lent it", name, err)
		}
	}
}
