package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"tenet/internal/cache"
	"tenet/internal/knowledge"
)

// addCache adds what the memory of a running tenet tells, which is more than a list of numbers shows. It reports
// whether there was anything to show.
func addCache(t *table, details json.RawMessage) bool {
	var d struct {
		Cache *cache.Stats `json:"cache"`
	}
	if json.Unmarshal(details, &d) != nil || d.Cache == nil {
		return false
	}
	c := d.Cache
	if c.HotBudget == 0 {
		t.add("cache", "off")
		return true
	}
	for _, span := range []struct {
		name string
		c    cache.Counts
	}{
		{"last minute", c.All.LastMinute},
		{"last ten minutes", c.All.LastTenMinutes},
		{"since the start", c.All.SinceStart},
	} {
		t.add("cache "+span.name, foundText(span.c))
	}
	for _, kind := range slices.Sorted(maps.Keys(c.Kinds)) {
		t.add("cache "+kind.Plural(), foundText(c.Kinds[kind].SinceStart))
	}
	if c.Searches.SinceStart.Asked() > 0 {
		t.add("cache searches", foundText(c.Searches.SinceStart))
	}
	t.add("cache hot", sizeText(c.HotBytes, c.HotBudget, uint64(max(c.HotEntries, 0))))
	if c.WarmBudget > 0 {
		t.add("cache warm", sizeText(c.WarmBytes, c.WarmBudget, c.WarmEntries))
	}
	if c.Loads > 0 {
		each := time.Duration(c.LoadSeconds / float64(c.Loads) * float64(time.Second))
		t.add("cache loads", fmt.Sprintf("%d, %s each, %d failed", c.Loads, each.Round(time.Microsecond), c.LoadErrors))
	}
	if n := c.EvictedRoom + c.EvictedOutdated + c.EvictedReplaced; n > 0 {
		t.add("cache evictions", fmt.Sprintf("%d: %d for room, %d outdated, %d replaced", n, c.EvictedRoom,
			c.EvictedOutdated, c.EvictedReplaced))
	}
	if c.Demoted+c.Promoted+c.Dropped+c.Once > 0 {
		t.add("cache moves", fmt.Sprintf("%d to warm, %d back to hot, %d dropped on the way, %d wanted only once",
			c.Demoted, c.Promoted, c.Dropped, c.Once))
	}
	if !c.AsOf.IsZero() {
		t.add("cache current as of", moment(c.AsOf))
	}
	if c.BelowTarget {
		t.add("cache warning", fmt.Sprintf("less than %.0f %% was found in the last ten minutes: give cache-hot and "+
			"cache-warm more memory, or read with "+
			"Cache-Control: no-cache what is read only once", 100*cache.Target))
	}
	return true
}

// addCacheLine adds what a person wants to know of the memory of a running tenet: how much it answers, and whether that
// is enough.
func addCacheLine(t *table, details json.RawMessage) {
	var d struct {
		Cache *cache.Stats `json:"cache"`
	}
	if json.Unmarshal(details, &d) != nil || d.Cache == nil || d.Cache.HotBudget == 0 {
		return
	}
	if c := d.Cache.All.LastTenMinutes; c.Asked() > 0 {
		text := fmt.Sprintf("%.1f %% of %s in ten minutes", 100*c.Ratio(), plural(c.Asked(), "read", "reads"))
		if d.Cache.BelowTarget {
			text += fmt.Sprintf(", less than %.0f %%: give cache-hot and cache-warm more memory", 100*cache.Target)
		}
		t.add("from memory", text)
	}
}

// foundText says how much of what was asked for was found, and where.
func foundText(c cache.Counts) string {
	if c.Asked() == 0 {
		return "nothing asked"
	}
	part := func(n int64) float64 { return 100 * float64(n) / float64(c.Asked()) }
	return fmt.Sprintf("%.1f %% of %d found, %.1f %% hot and %.1f %% warm", 100*c.Ratio(), c.Asked(), part(c.Hot),
		part(c.Warm))
}

func sizeText(bytes uint64, budget int64, entries uint64) string {
	const mb = 1 << 20
	return fmt.Sprintf("%.1f of %d MB, %s", float64(bytes)/mb, budget/mb, knowledge.Count(entries, "answer", "answers"))
}
