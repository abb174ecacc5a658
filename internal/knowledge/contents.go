package knowledge

// Contents counts the documents of a database.
type Contents struct {
	Documents  int64 // of every kind except principals
	Principals int64
	Changes    int64 // in the log
	Tenets     int64 // open sessions of other instances; always 0 for an embedded database
}
