package knowledge

// Contents counts the documents of a database.
type Contents struct {
	Documents  int64 // of every kind but principals
	Principals int64
	Changes    int64 // of the log
	Tenets     int64 // sessions of other tenets that are open on it; of an embedded database always 0
}
