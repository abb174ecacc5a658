package knowledge

import (
	"maps"
	"slices"
	"strconv"
)

// A Label is a name for a position in the log: it stands for the documents as of that change. Moving it forward is a
// roll-out, moving it back a roll-back; its own history shows them.
type Label struct {
	LabelID     string           `json:"label_id" doc:"The label's id, a slug" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$" example:"production"`
	Name        string           `json:"name" doc:"The name to show" maxLength:"255"`
	Description string           `json:"description" doc:"What the label is for"`
	Seq         Seq              `json:"seq" doc:"The position: each document as its newest change up to this one left it" minimum:"0" example:"48211"`
	Holds       map[string]int64 `json:"holds" doc:"Documents, by kind and id, that stand at another version there" example:"{\"rule/SEC-001\":3}"`
	IsActive    bool             `json:"is_active" doc:"False once the label is retired" default:"true"`
	Stamp
}

// Key implements [Document].
func (l *Label) Key() Key { return Key{KindLabel, l.LabelID} }

// CategoryID implements [Document]; a label has none.
func (l *Label) CategoryID() string { return "" }

// Active implements [Document].
func (l *Label) Active() bool { return l.IsActive }

// SetActive implements [Document].
func (l *Label) SetActive(active bool) { l.IsActive = active }

// Rank implements [Document]: it is constant, so that house order is by id.
func (l *Label) Rank() int64 { return Rank(3, 0) }

// Text implements [Document]; labels are not searched.
func (l *Label) Text() Text { return Text{Title: l.Name} }

// Normalize implements [Document].
func (l *Label) Normalize() {
	l.Name = orDefault(l.Name, l.LabelID)
	if l.Holds == nil {
		l.Holds = map[string]int64{}
	}
}

// Validate implements [Document].
func (l *Label) Validate() error {
	var f faults
	f.id("/label_id", l.LabelID)
	f.line("/name", l.Name)
	f.text("/description", l.Description)
	if l.Seq < 0 {
		f.add("/seq", "%d: want the seq of a change, or 0 for before the first", l.Seq)
	}
	f.count("/holds", len(l.Holds))
	for _, text := range slices.Sorted(maps.Keys(l.Holds)) {
		p := "/holds/" + EscapePointer(clipped(text).String())
		key, err := ParseKey(text)
		switch {
		case err != nil:
			f.add(p, "%s", err)
		case text != key.String():
			f.add(p, "want the key as %s", key)
		case !Labelled(key.Kind):
			f.add(p, "a %s has no labelled versions", key.Kind)
		}
		if l.Holds[text] < 1 {
			f.add(p, "%d: want a version, from 1", l.Holds[text])
		}
	}
	return f.document(l)
}

// LabelledKinds returns the kinds whose documents are read as of a label. Labels, repositories, principals and
// violations are always read as of now.
func LabelledKinds() []Kind {
	return []Kind{KindCategory, KindRule, KindPractice, KindTemplate, KindPack}
}

// Labelled reports whether documents of a kind are read as of a label.
func Labelled(kind Kind) bool { return slices.Contains(LabelledKinds(), kind) }

// A LabelAt is the label that an answer is as of, and the label's position; the zero value stands for now.
type LabelAt struct {
	Label string `json:"label,omitempty"`
	Seq   Seq    `json:"seq,omitempty"`
}

// Holding returns the version to which a label pins a document, instead of the one at its position; 0 for none.
func (l *Label) Holding(key Key) int64 { return l.Holds[key.String()] }

func (*Label) document() {}

// KindLabel is the kind of [*Label].
const KindLabel Kind = "label"

func describeLabel() *Description {
	return &Description{
		Kind: KindLabel, Plural: "labels", About: "Names for positions of the log, at which documents can be read",
		New:         func() Document { return &Label{IsActive: true} },
		ActiveField: "is_active", TitleField: "name", TextField: "description", NoMarkdown: true,
		Needed: []string{"label_id"},
		Columns: []Column{
			column("ID", func(l *Label) string { return l.LabelID }),
			column("SEQ", func(l *Label) string { return strconv.FormatInt(int64(l.Seq), 10) }),
			column("HOLDS", func(l *Label) string { return strconv.Itoa(len(l.Holds)) }),
			column("MOVED", func(l *Label) string { return day(l.UpdatedAt, "") }),
			column("NAME", func(l *Label) string { return l.Name }),
		},
		Example: func() Document {
			return &Label{
				LabelID: "production", Name: "Production", Description: "What holds in released services.",
				Seq: 10, IsActive: true,
			}
		},
		Patches: []Sample{{"move", "Roll out what stands at another change", map[string]any{"seq": 2}}},
		Changed: [3]string{"name", "Parameterized queries", "Use parameterized queries"},
	}
}
