package sqlite

func sweep(path string) error { return nil }
