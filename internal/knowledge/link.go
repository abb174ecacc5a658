package knowledge

// A Link is a place in a document that names another document, which need not be there: it may come later.
type Link struct {
	Pointer string
	Key     Key
}

// Links returns the links of a document. What must be there when it is written, such as a category, is none.
func Links(d Document) []Link {
	var links []Link
	add := func(pointer string, kind Kind, id string) {
		if key := (Key{Kind: kind, ID: id}); key.Sound() {
			links = append(links, Link{pointer, key})
		}
	}
	keys := func(pointer string, list []string) {
		for i, name := range list {
			if key, err := ParseKey(name); err == nil {
				links = append(links, Link{at(pointer, i), key})
			}
		}
	}
	switch d := d.(type) {
	case *Repository:
		for i, id := range d.Packs {
			add(at("/packs", i), KindPack, id)
		}
		add("/label", KindLabel, d.Label)
		for i := range d.Exemptions {
			add(at("/exemptions", i)+"/rule", KindRule, d.Exemptions[i].Rule)
		}
	case *Pack:
		for i, id := range d.Select.Categories {
			add(at("/select/categories", i), KindCategory, id)
		}
		keys("/select/ids", d.Select.IDs)
		keys("/select/except", d.Select.Except)
		for i := range d.Raise {
			if key, err := ParseKey(d.Raise[i].ID); err == nil {
				links = append(links, Link{at("/raise", i) + "/id", key})
			}
		}
	default: // they name none, or what must be there
	}
	return links
}
