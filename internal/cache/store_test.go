package cache

import (
	"testing"

	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestStoreKeepsTheLaws(t *testing.T) {
	for name, o := range map[string]Options{
		"hot and warm": {Hot: 64 << 20, Warm: MinWarm},
		"too small":    {Hot: 1 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t testing.TB) store.Store {
				s := openTest(t, openSQLite(t), o)
				run(t, s)
				return s
			})
		})
	}
}
