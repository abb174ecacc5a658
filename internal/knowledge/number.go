package knowledge

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// maxDigits is the largest length of a number without an exponent. A longer one is kept as text.
const maxDigits = 400

// tidyExtra converts a free value to JSON types, with every number in the form that jsonb keeps, so that a value made
// in Go equals one that was read.
func tidyExtra(m map[string]any) {
	for k, v := range m {
		m[k] = tidy(v)
	}
}

func tidy(v any) any {
	switch v := v.(type) {
	case nil, bool, string:
		return v
	case json.Number:
		return tidyNumber(v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return v // not a JSON number: validation reports it
		}
		return tidyNumber(json.Number(strconv.FormatFloat(v, 'e', -1, 64)))
	case int:
		return json.Number(strconv.Itoa(v))
	case int64:
		return json.Number(strconv.FormatInt(v, 10))
	case []any:
		for i := range v {
			v[i] = tidy(v[i])
		}
		return v
	case map[string]any:
		tidyExtra(v)
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return v
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var plain any
	if dec.Decode(&plain) != nil {
		return v
	}
	return tidy(plain)
}

func tidyNumber(n json.Number) any {
	if plain, ok := plainDecimal(n.String()); ok {
		return json.Number(plain)
	}
	if json.Valid([]byte(n)) {
		return n.String()
	}
	return n
}

// plainDecimal formats a JSON number without an exponent and without superfluous zeros, with every digit. It is not ok
// for text that is not a number, or would get too long.
func plainDecimal(s string) (string, bool) {
	if s == "" || !digit(s[len(s)-1]) || s[0] != '-' && !digit(s[0]) || !json.Valid([]byte(s)) {
		return "", false
	}
	digits, negative := strings.CutPrefix(s, "-")
	exponent := 0
	if i := strings.IndexAny(digits, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(digits[i+1:]); err != nil {
			exponent = math.MaxInt32 // out of range for anything but zero
		}
		digits = digits[:i]
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	point := len(digits) - len(fraction) + exponent // the number of digits before the point
	digits = strings.TrimRight(digits, "0")
	switch {
	case digits == "":
		return "0", true
	case len(digits) > maxDigits || point > maxDigits || point < -maxDigits:
		return "", false
	case point <= 0:
		digits = "0." + strings.Repeat("0", -point) + digits
	case point >= len(digits):
		digits += strings.Repeat("0", point-len(digits))
	default:
		digits = digits[:point] + "." + digits[point:]
	}
	if negative {
		digits = "-" + digits
	}
	return digits, true
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
