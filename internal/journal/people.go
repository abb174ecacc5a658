package journal

import (
	"sync"

	"tenet/internal/knowledge"
)

// people are the persons erased from a journal, so that later entries do not name them either.
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

// name returns a name, or the pseudonym of the erased person with that name.
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

// words replaces the ids of erased persons in a text.
func (p *people) words(text string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pseudonym, person := range p.erased {
		text = person.RedactWords(text, pseudonym)
	}
	return text
}
