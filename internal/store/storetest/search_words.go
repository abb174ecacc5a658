package storetest

import (
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

func wishes(s *suite) {
	all := s.wordy("Commit messages", "Write a good message for each commit: a line, and why.")
	most := s.wordy("Messages of commits", "How they are read.")
	s.wordy("Queues", "A message is delivered once.")
	s.wordy("Other", "Nothing of it.")
	hits := s.order("how do I write a good commit message", all, most)
	if len(hits.Hits) != 3 || hits.Total != 3 || hits.Reading.Matched != knowledge.MatchedAll ||
		len(hits.Hits[0].Missing) != 0 {
		s.Errorf("three documents hold some of it: %d hits, total %d, %+v", len(hits.Hits), hits.Total, hits.Reading)
	}
	s.equal("what the second hit lacks", []string{"write", "good"}, hits.Hits[1].Missing)
	s.equal("what every hit holds", []string{"message"}, hits.Reading.Required)
	var stops []string
	for _, l := range hits.Reading.LeftOut {
		stops = append(stops, l.Word+": "+l.Why)
	}
	s.equal("what was left out", []string{"how: stop word", "do: stop word", "i: stop word", "a: stop word"}, stops)
	if m := s.order("commit messages of beekeepers in winter", all).Reading.Matched; m != knowledge.MatchedMost &&
		m != knowledge.MatchedSome {
		s.Errorf("two words of four: matched %s", m)
	}
	none := s.search(knowledge.SearchQuery{Text: "xylophone zither"})
	if len(none.Hits) != 0 || none.Total != 0 || none.Reading.Matched != knowledge.MatchedNone ||
		len(none.Reading.LeftOut) != 2 {
		s.Errorf("nothing matches: %+v", none)
	}
	s.order("once", s.wordy("Once", "upon a time")) // nothing else is left
	hits = s.search(knowledge.SearchQuery{Text: "severity:high commit"})
	s.equal("what is no field", []string{"severity"}, hits.Reading.UnknownFields)
	long := strings.Repeat("We send the message again when it times out, and nobody knows how often. ", 20) +
		"Which commit?"
	if hits := s.search(knowledge.SearchQuery{Text: long}); len(hits.Hits) == 0 {
		s.Error("a long question finds nothing")
	}
}

func equivalents(s *suite) {
	short := s.wordy("Describe each PR", "Who reads it knows why.")
	long := s.wordy("Describe each pull request", "Who reads it knows why.")
	apart := s.wordy("Describe each request", "Nobody has to pull at it.")
	hash := s.wordy("Hash each password", "Store the hash alone.")
	pool := s.wordy("Bound the database connections", "Each service has a pool.")
	s.foundBy(knowledge.SearchQuery{Text: "prs"}, short, long)
	s.foundBy(knowledge.SearchQuery{Text: "pull requests"}, long, short, apart)
	told := s.order("PR", short, long).Reading.AlsoSearched
	if len(told) != 1 || told[0].Typed != "pr" ||
		!slices.Equal(told[0].Used, []string{"pull request", "mr", "merge request"}) {
		s.Errorf("for PR it is told: %+v", told)
	}
	s.order("Passwörter", hash)
	s.order("las contraseñas", hash)
	s.order("Datenbankverbindungen", pool)
	s.foundBy(knowledge.SearchQuery{Text: "PR", Literal: true}, short)
	for _, exact := range []string{`"pr"`, "title:pr", "pr OR zither"} { // what has an operator is meant as it is
		s.foundBy(knowledge.SearchQuery{Text: exact}, short)
	}
	// date is no Daten, sure no sûr
	s.foundBy(knowledge.SearchQuery{Text: "what is the date of it and what are we sure of"})
}

func forms(s *suite) {
	english := s.wordy("Deprecating versions", "Retired interfaces and running processes.")
	german := s.wordy("Änderungen an der Datenbank",
		"Größere Umbauten werden auf mehrere Auslieferungen verteilt, und sie sind nicht in einer Straße.")
	french := s.wordy("Aucun mot de passe dans les journaux", "Les journaux ne contiennent ni mots de passe ni jetons.")
	spanish := s.wordy("Revisiones de código", //nolint:misspell // Spanish
		"Cada cambio debe poder leerse en media hora, y las revisiones grandes se dividen.") //nolint:misspell // Spanish
	greek := s.wordy("ΟΔΟΣ", "ένα κείμενο")
	typed := s.wordy("Ausfuehrung", "Die Pruefung der Schluessel ist nicht die Ueberwachung.") // without umlauts
	for question, want := range map[string]knowledge.Key{
		"deprecated": english, "version": english, "interface": english, "run": english,
		"änderung": german, "aenderungen": german, "Anderungen": german, "datenbanken": german, "groessere": german,
		"größere": german, "strasse": german, "straße": german, "auslieferung": german,
		"journal": french, "jeton": french, "codigo": spanish, "código": spanish, "revisión": spanish, "οδος": greek,
		"οδοσ": greek, "οδός": greek, "ΟΔΟΣ": greek,
		"Prüfung": typed, "schlüssel": typed, `"die Prüfung"`: typed, "Überwachungen": typed,
	} {
		s.order(question, want)
	}
}

func compoundNames(s *suite) {
	c := s.wordy("The C language", "pointers and C arrays")
	cpp := s.wordy("The C++ language", "smart pointers")
	sharp := s.wordy("The C# language", "properties")
	flag := s.wordy("Hooks", "Never pass --no-verify to git.")
	dotted := s.wordy("Batches", "Use pgx.Batch, std::unique_ptr, node.js and .NET with snake_case_name, "+
		"camelCaseName and kebab-case-name.")
	coded := s.wordy("Findings", "See AVD-AWS-0004, and rule/SEC-001.")
	s.found("c", c)
	s.found("c++", cpp)
	s.found("C#", sharp)
	s.order("c++ pointers", cpp)
	s.order("c pointers", c)
	for _, q := range []string{"--no-verify", "no-verify", "verify", "git commit --no-verify"} {
		s.order(q, flag)
	}
	for _, q := range []string{
		"pgx.Batch", "pgx", "batch", "std::unique_ptr", "unique_ptr", "node.js", "node", ".net",
		"net", "snake_case_name", "snake", "camelCaseName", "camelcasename", "camel", "kebab-case-name", "kebab",
	} {
		s.order(q, dotted)
	}
	for _, q := range []string{"AVD-AWS-0004", "avd-aws-0004", "0004", "rule/SEC-001", "SEC-001", "sec"} {
		s.order(q, coded)
	}
	for _, q := range []string{
		"Error: connect ECONNREFUSED 127.0.0.1:5432 at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)",
		`panic: "assignment to entry in nil map" goroutine 1 [running]: main.main() cmd/x.go:8 +0x2d`,
		"fatal: -f --force -- 'x' \"y", "exit code -1",
	} {
		s.search(knowledge.SearchQuery{Text: q})
	}
}
