package sqlite

import "strings"

// stem returns the stem of an English word in lower case, by the algorithm of M. F. Porter (1980). Words that hold anything
// but the letters a to z stay as they are, and so do words of one or two letters.
func stem(word string) string {
	if len(word) < 3 {
		return word
	}
	for i := range len(word) {
		if word[i] < 'a' || word[i] > 'z' {
			return word
		}
	}
	w := plural(word)
	w = pastAndGerund(w)
	w = finalY(w)
	w = replace(w, suffixes2(), 0)
	w = replace(w, suffixes3(), 0)
	w = dropSuffix(w)
	return finalE(w)
}

// consonant reports whether letter i of a word is one: y is, unless it follows another consonant.
func consonant(w string, i int) bool {
	switch w[i] {
	case 'a', 'e', 'i', 'o', 'u':
		return false
	case 'y':
		return i == 0 || !consonant(w, i-1)
	}
	return true
}

// measure is how many times vowels are followed by consonants.
func measure(w string) int {
	n, vowel := 0, false
	for i := range len(w) {
		c := consonant(w, i)
		if c && vowel {
			n++
		}
		vowel = !c
	}
	return n
}

func hasVowel(w string) bool {
	for i := range len(w) {
		if !consonant(w, i) {
			return true
		}
	}
	return false
}

// doubled reports whether a word ends in one consonant twice.
func doubled(w string) bool {
	n := len(w)
	return n >= 2 && w[n-1] == w[n-2] && consonant(w, n-1)
}

// short reports whether a word ends in consonant, vowel, consonant, the last not w, x or y.
func short(w string) bool {
	n := len(w)
	return n >= 3 && consonant(w, n-3) && !consonant(w, n-2) && consonant(w, n-1) && !strings.ContainsRune("wxy", rune(w[n-1]))
}

func plural(w string) string {
	switch {
	case strings.HasSuffix(w, "sses"), strings.HasSuffix(w, "ies"):
		return w[:len(w)-2]
	case strings.HasSuffix(w, "ss"):
		return w
	case strings.HasSuffix(w, "s"):
		return w[:len(w)-1]
	}
	return w
}

func pastAndGerund(w string) string {
	if s, ok := strings.CutSuffix(w, "eed"); ok {
		if measure(s) > 0 {
			return w[:len(w)-1]
		}
		return w
	}
	s, ok := strings.CutSuffix(w, "ed")
	if !ok {
		s, ok = strings.CutSuffix(w, "ing")
	}
	if !ok || !hasVowel(s) {
		return w
	}
	switch {
	case strings.HasSuffix(s, "at"), strings.HasSuffix(s, "bl"), strings.HasSuffix(s, "iz"):
		return s + "e"
	case doubled(s) && !strings.ContainsRune("lsz", rune(s[len(s)-1])):
		return s[:len(s)-1]
	case measure(s) == 1 && short(s):
		return s + "e"
	}
	return s
}

func finalY(w string) string {
	if s, ok := strings.CutSuffix(w, "y"); ok && hasVowel(s) {
		return s + "i"
	}
	return w
}

func suffixes2() [][2]string {
	return [][2]string{
		{"ational", "ate"},
		{"tional", "tion"},
		{"enci", "ence"},
		{"anci", "ance"},
		{"izer", "ize"},
		{"bli", "ble"},
		{"alli", "al"},
		{"entli", "ent"},
		{"eli", "e"},
		{"ousli", "ous"},
		{"ization", "ize"},
		{"ation", "ate"},
		{"ator", "ate"},
		{"alism", "al"},
		{"iveness", "ive"},
		{"fulness", "ful"},
		{"ousness", "ous"},
		{"aliti", "al"},
		{"iviti", "ive"},
		{"biliti", "ble"},
		{"logi", "log"},
	}
}

func suffixes3() [][2]string {
	return [][2]string{
		{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""},
	}
}

// replace changes the first suffix of a list that the word has, where what stands before it has a greater measure than m.
func replace(w string, suffixes [][2]string, m int) string {
	for _, r := range suffixes {
		if s, ok := strings.CutSuffix(w, r[0]); ok {
			if measure(s) > m {
				return s + r[1]
			}
			return w
		}
	}
	return w
}

func dropSuffix(w string) string {
	for _, suffix := range []string{
		"al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti", "ous", "ive", "ize",
	} {
		s, ok := strings.CutSuffix(w, suffix)
		if !ok {
			continue
		}
		if suffix == "ion" && !strings.HasSuffix(s, "s") && !strings.HasSuffix(s, "t") {
			return w
		}
		if measure(s) > 1 {
			return s
		}
		return w
	}
	return w
}

func finalE(w string) string {
	if s, ok := strings.CutSuffix(w, "e"); ok {
		if m := measure(s); m > 1 || m == 1 && !short(s) {
			w = s
		}
	}
	if strings.HasSuffix(w, "ll") && measure(w) > 1 {
		return w[:len(w)-1]
	}
	return w
}
