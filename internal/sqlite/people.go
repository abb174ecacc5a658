package sqlite

import (
	"sync"

	"tenet/internal/knowledge"
)

// people are those who were erased from a journal: what is written into it later does not name them either.
type people struct {
	mu     sync.Mutex // guards erased
	erased map[string]*knowledge.Erasure
}

func (p *people) add(pseudonym string, person *knowledge.Erasure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.erased == nil {
		p.erased = map[string]*knowledge.Erasure{}
	}
	p.erased[pseudonym] = person
}

// name returns a name, or the pseudonym of the erased person whom it names.
func (p *people) name(text string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pseudonym, person := range p.erased {
		if person.Is(text) {
			return pseudonym
		}
	}
	return text
}

// words returns a text in which no erased person is named by id.
func (p *people) words(text string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pseudonym, person := range p.erased {
		text = person.RedactWords(text, pseudonym)
	}
	return text
}
