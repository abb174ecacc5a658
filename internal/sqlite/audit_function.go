package sqlite

import (
	sqldriver "database/sql/driver"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"

	"tenet/internal/store"
)

// The functions below are for the migration that chains the entries of before: no schema and no query needs them.

// auditHash returns the hash of an entry's fields.
func auditHash(_ *driver.FunctionContext, args []sqldriver.Value) (sqldriver.Value, error) {
	fields := make([]string, len(args))
	for i, a := range args {
		fields[i] = fmt.Sprint(a)
	}
	hash := store.AuditDigest(fields...)
	return hash[:], nil
}

// auditChain returns the chain value of an entry, from that of the one before it, its number and its hash.
func auditChain(_ *driver.FunctionContext, args []sqldriver.Value) (sqldriver.Value, error) {
	before, ok := args[0].([]byte)
	seq, counted := args[1].(int64)
	hash, hashed := args[2].([]byte)
	if !ok || !counted || !hashed || len(before) != 32 || len(hash) != 32 {
		return nil, errors.New("tenet_audit_chain: want a chain value, a number and a hash")
	}
	chain := store.AuditChain([32]byte(before), seq, [32]byte(hash))
	return chain[:], nil
}
