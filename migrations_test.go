package tenet_test

import (
	"os"
	"strconv"
	"testing"
)

// TestMigrationsAreNumberedOneByOne finds two migrations of one engine that came at once under one number: no database
// could be opened any more.
func TestMigrationsAreNumberedOneByOne(t *testing.T) {
	for _, dir := range []string{
		"internal/postgres/migrations", "internal/sqlite/migrations", "internal/journal/migrations",
	} {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		next := 1
		for _, file := range list {
			if file.IsDir() {
				continue
			}
			if n, err := strconv.Atoi(file.Name()[:3]); err != nil || n != next {
				t.Errorf("%s/%s: want the number %03d", dir, file.Name(), next)
			}
			next++
		}
		if next < 2 {
			t.Errorf("%s has no migrations", dir)
		}
	}
}
