package knowledge

// A Position is a place in the history of one primary: which database it is, and how far its log was read. Two positions
// of one seq with different chains belong to histories that have parted.
type Position struct {
	System   string   // identifies the database cluster; "" when unknown
	Timeline int64    // of the PostgreSQL cluster: one more after each promotion; 0 when unknown
	Seq      Seq      // the last change that was seen, 0 for none
	Chain    [32]byte // its chain value
	At       Time     // when it was made
}
