package live

import (
	"testing"

	"tenet/internal/browsertest"
)

// Expressions on the example's page.
const (
	pageState = "document.querySelector('output').value"
	pageSeqs  = "[...document.querySelectorAll('li')].reverse().map(li => li.textContent.split(' ')[0]).join(' ')"
)

// logIn fills in the form, once the page has understood itself.
func logIn(p *browsertest.Page) {
	p.Await("!!document.forms[0]?.onsubmit", "true")
	p.Eval("document.querySelector('input').value = 'viewer'; document.forms[0].requestSubmit()")
}

func TestTheExamplePageFollowsInABrowser(t *testing.T) {
	log := newLog(t)
	log.rules(5)
	r := newRig(t, log, Options{})
	p := browsertest.Open(t, r.server.URL+"/example")
	logIn(p)
	p.Await(pageState, "normal")

	log.rules(3)
	p.Await(pageSeqs, "6 7 8")
	if got := p.Eval("document.querySelector('li').textContent"); got != "8 put rule/R-8 version 1 by tester" {
		t.Errorf("the page shows %q", got)
	}
	for _, w := range r.hub.wires() {
		w.Cut()
	}
	p.Await(pageState, "not connected")
	log.rules(3)
	p.Await(pageSeqs, "6 7 8 9 10 11") // it has come back and missed nothing
	p.Eval("location.reload()")
	p.Await("document.querySelectorAll('li').length", "0")
	log.rules(1)
	logIn(p)
	p.Await(pageSeqs, "12") // loaded again, it goes on where it was
	r.stop()
	p.Await(pageState, "not connected")
}
