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

// A Note says of a field of a document that was written, or of an op of a proposal, what its writer may not have meant,
// such as the name of a document that is not there. It is no fault: what is named may come later.
type Note struct {
	Kind    Kind   `json:"kind" doc:"The document's kind"`
	ID      string `json:"id" doc:"The document's id"`
	Pointer string `json:"pointer" doc:"The field, as a JSON pointer into the document" example:"/select/tags/0"`
	Detail  string `json:"detail" doc:"What to know of it" example:"no document has the tag \"securty\" yet"`
}
