package httpapi

// onePage cuts a list that was asked for with one more than its page holds, and reports whether there was that one: a
// page that is exactly full may be the last.
func onePage[T any](list []T, limit int) (page []T, more bool) {
	if len(list) > limit {
		return list[:limit], true
	}
	return list, false
}
