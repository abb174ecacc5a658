package knowledge

import (
	"fmt"
	"time"
)

// Unstamped says how the actor or the time of a change differs from what its document was stamped with, or that the
// document can't be read; "" if they match or there is no document. The chain binds the document's hash, and so, for a
// change that nobody entered for another, the actor and the time through it.
func (c *Change) Unstamped() string {
	if c.Record == nil {
		return ""
	}
	d, err := c.Record.Document()
	if err != nil {
		return "it holds a document that can't be read: " + err.Error()
	}
	switch s := d.Stamps(); {
	case s.UpdatedBy != c.Actor:
		return fmt.Sprintf("it says that %s made it, and its document that %s did", c.Actor, s.UpdatedBy)
	case !s.UpdatedAt.Equal(c.At.Time):
		return fmt.Sprintf("it says that it was made at %s, and its document at %s", c.At.Format(time.RFC3339Nano),
			s.UpdatedAt.Format(time.RFC3339Nano))
	}
	return ""
}
