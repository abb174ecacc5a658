package knowledge

import "strconv"

// Count returns a number with the word for what is counted, as in "1 change" and "2 changes".
func Count[N ~int | ~int64 | ~uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(int64(n), 10) + " " + many
}
