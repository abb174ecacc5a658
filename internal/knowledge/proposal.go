package knowledge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// States of a proposal.
const (
	ProposalOpen      = "open"
	ProposalApplied   = "applied"
	ProposalRejected  = "rejected"
	ProposalWithdrawn = "withdrawn"
)

// ProposalStates returns the states of a proposal.
func ProposalStates() []string {
	return []string{ProposalOpen, ProposalApplied, ProposalRejected, ProposalWithdrawn}
}

// Verdicts of a review.
const (
	VerdictApprove = "approve" // may be applied
	VerdictAsk     = "ask"     // needs an answer or a change first
	VerdictReject  = "reject"  // must not be applied
	VerdictComment = "comment" // a comment, which decides nothing
	// VerdictOverride allows applying it without the required approvals, in an emergency. Its comment gives the
	// reason.
	VerdictOverride = "override"
)

// Verdicts returns the verdicts of a review.
func Verdicts() []string {
	return []string{VerdictApprove, VerdictAsk, VerdictReject, VerdictComment, VerdictOverride}
}

// MaxProposedOps is the largest number of ops in a proposal: nobody can review more.
const MaxProposedOps = 200

// A Proposal is a batch that waits for a review. Applying it writes its ops and marks it as applied, in one batch.
type Proposal struct {
	ProposalID string       `json:"proposal_id" doc:"The proposal's id, a UUID (version 7 is advised)" format:"uuid"`
	Title      string       `json:"title" doc:"One line that says what is proposed" maxLength:"255"`
	Why        string       `json:"why" doc:"Why, in Markdown"`
	Ops        []ProposedOp `json:"ops" doc:"What is done when it is applied" maxItems:"200"`
	OpsDigest  string       `json:"ops_digest" doc:"SHA-256 of the ops, which a review names" readOnly:"true"`
	State      string       `json:"state" doc:"Where it stands" enum:"open,applied,rejected,withdrawn" default:"open"`
	Reviews    []Review     `json:"reviews" doc:"What people said of it, oldest first" maxItems:"500" readOnly:"true"`
	IsActive   bool         `json:"is_active" doc:"False once the proposal is retired" default:"true"`
	Stamp
}

// A ProposedOp is one of a proposal's ops, with the version that its writer saw.
type ProposedOp struct {
	Verb      Verb           `json:"verb" doc:"What is done" enum:"put,patch,retire,restore"`
	Kind      string         `json:"kind" doc:"The document's kind" example:"rule"`
	ID        string         `json:"id" doc:"The document's id" example:"SEC-001"`
	IfMatch   string         `json:"if_match,omitempty" doc:"The ETag of what the writer saw, in quotes: it names the text too, and stands for if_version" example:"\"3-9f86d081884c\""`
	IfVersion int64          `json:"if_version" doc:"The version that the writer saw; -1 for a document that is not there yet" minimum:"-1" example:"3"`
	Document  map[string]any `json:"document,omitempty" doc:"For put: the document"`
	Patch     map[string]any `json:"patch,omitempty" doc:"For patch: what is merged into it (RFC 7396)"`
}

// A Review is one person's verdict about a proposal.
type Review struct {
	By        string `json:"by" doc:"Who: always the caller"`
	Verdict   string `json:"verdict" doc:"What they say" enum:"approve,ask,reject,comment,override"`
	OpsDigest string `json:"ops_digest" doc:"The ops that they saw"`
	Comment   string `json:"comment" doc:"In words"`
	At        Time   `json:"at" doc:"When"`
}

// Key implements [Document].
func (p *Proposal) Key() Key { return Key{KindProposal, p.ProposalID} }

// CategoryID implements [Document]; a proposal has none.
func (p *Proposal) CategoryID() string { return "" }

// Active implements [Document].
func (p *Proposal) Active() bool { return p.IsActive }

// SetActive implements [Document].
func (p *Proposal) SetActive(active bool) { p.IsActive = active }

// Rank implements [Document]: the newest first, by the second.
func (p *Proposal) Rank() int64 { return rankOfEpoch - min(max(0, p.CreatedAt.Unix()), rankOfEpoch) }

// Text implements [Document]; proposals are not searched.
func (p *Proposal) Text() Text { return Text{Title: p.Title} }

// Normalize implements [Document].
func (p *Proposal) Normalize() {
	p.State = orDefault(p.State, ProposalOpen)
	p.Ops, p.Reviews = orEmpty(p.Ops), orEmpty(p.Reviews)
	if id, err := uuid.Parse(p.ProposalID); err == nil {
		p.ProposalID = id.String()
	}
	for i := range p.Ops {
		if version, _, ok := p.Ops[i].Seen(); ok && p.Ops[i].IfVersion == AnyVersion {
			p.Ops[i].IfVersion = version
		}
		tidyExtra(p.Ops[i].Document)
		tidyExtra(p.Ops[i].Patch)
	}
	for i := range p.Reviews {
		p.Reviews[i].At = At(p.Reviews[i].At.Time)
	}
	p.OpsDigest = p.digest()
}

// digest returns a hash of the ops.
func (p *Proposal) digest() string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p.Ops); err != nil {
		return "" // values without a JSON form: validation reports them
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}

// Validate implements [Document].
func (p *Proposal) Validate() error {
	var f faults
	if _, err := uuid.Parse(p.ProposalID); err != nil || len(p.ProposalID) != 36 {
		f.add("/proposal_id", "want a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")
	}
	f.line("/title", p.Title)
	f.text("/why", p.Why)
	if len(p.Ops) == 0 || len(p.Ops) > MaxProposedOps {
		f.add("/ops", "%d ops: want 1 to %d", len(p.Ops), MaxProposedOps)
	}
	seen := map[Key]bool{}
	for i := range p.Ops {
		f.proposed(at("/ops", i), &p.Ops[i], seen)
	}
	f.oneOf("/state", p.State, ProposalStates())
	f.count("/reviews", len(p.Reviews))
	for i := range p.Reviews {
		r, pointer := &p.Reviews[i], at("/reviews", i)
		f.line(pointer+"/by", r.By)
		f.oneOf(pointer+"/verdict", r.Verdict, Verdicts())
		f.text(pointer+"/ops_digest", r.OpsDigest)
		f.text(pointer+"/comment", r.Comment)
		if r.Verdict == VerdictOverride && blank(r.Comment) {
			f.add(pointer+"/comment", "missing: an override needs a reason")
		}
		f.time(pointer+"/at", r.At)
	}
	return f.document(p)
}

// proposed checks one op.
func (f *faults) proposed(pointer string, o *ProposedOp, seen map[Key]bool) {
	before := len(f.list)
	f.value(pointer+"/document", o.Document, 1)
	f.value(pointer+"/patch", o.Patch, 1)
	op, err := o.Op()
	f.below(pointer, err)
	if len(f.list) > before {
		return
	}
	version, _, tagged := o.Seen()
	switch {
	case o.IfMatch != "" && !tagged:
		f.add(pointer+"/if_match", "%q: want the ETag of a version, in quotes, as in \"3-9f86d081884c\"", o.IfMatch)
	case tagged && version != o.IfVersion:
		f.add(pointer+"/if_match", "%s: names another version than if_version, %d: give one of them",
			o.IfMatch, o.IfVersion)
	case seen[op.Key]:
		f.add(pointer, "%s stands there twice", op.Key)
	case op.Verb.Removes():
		f.add(pointer+"/verb", "%s can't be proposed: an admin does it", op.Verb)
	case Describe(op.Key.Kind).Hidden || op.Key.Kind == KindProposal:
		f.add(pointer+"/kind", "a %s can't be proposed", op.Key.Kind)
	case op.IfVersion == AnyVersion:
		f.add(pointer+"/if_version", "missing: want the version that you saw, or -1 for a document that is not "+
			"there yet")
	default:
		f.op(pointer, &op, false)
	}
	seen[op.Key] = true
}

// Seen returns the version and the sum of the text that the writer saw, if if_match names them.
func (o *ProposedOp) Seen() (version int64, sum string, ok bool) {
	tag, quoted := strings.CutPrefix(strings.TrimPrefix(o.IfMatch, "W/"), `"`)
	tag, ends := strings.CutSuffix(tag, `"`)
	if !quoted || !ends {
		return 0, "", false
	}
	return ParseTag(tag)
}

// Op decodes the proposed op. The error is an [*InvalidError].
func (o *ProposedOp) Op() (Op, error) {
	var f faults
	kind, err := ParseKind(o.Kind)
	if err != nil {
		f.add("/kind", "%s", err)
		return Op{}, f.err()
	}
	op := Op{Verb: o.Verb, Key: Key{kind, o.ID}, IfVersion: o.IfVersion}
	if o.Document != nil {
		raw, err := json.Marshal(o.Document)
		if err == nil {
			op.Doc, err = Decode(kind, raw)
		}
		if invalid, ok := errors.AsType[*InvalidError](err); ok {
			return op, invalid.Below("/document")
		} else if err != nil {
			return op, Invalid("/document", "%s", err)
		}
		if o.ID == "" {
			op.Key = op.Doc.Key()
		}
	}
	if o.Patch != nil {
		if op.Patch, err = json.Marshal(o.Patch); err != nil {
			return op, Invalid("/patch", "%s", err)
		}
	}
	return op, nil
}

// ProposedOpOf returns an op in the form of a proposal.
func ProposedOpOf(op *Op) (ProposedOp, error) {
	o := ProposedOp{Verb: op.Verb, Kind: string(op.Key.Kind), ID: op.Key.ID, IfVersion: op.IfVersion}
	decode := func(raw []byte, into *map[string]any) error {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		return dec.Decode(into)
	}
	if op.Doc != nil {
		raw, err := Canonical(op.Doc)
		if err != nil {
			return o, err
		}
		if err := decode(raw, &o.Document); err != nil {
			return o, err
		}
		for _, stamp := range []string{"created_by", "created_at", "updated_by", "updated_at", "version"} {
			delete(o.Document, stamp)
		}
	}
	if op.Patch != nil {
		if err := decode(op.Patch, &o.Patch); err != nil {
			return o, Invalid("/patch", "want an object")
		}
	}
	return o, nil
}

// Standing returns the last verdict of each reviewer about the current ops. Verdicts about earlier ops no longer count,
// and a comment does not revoke a verdict.
func (p *Proposal) Standing() map[string]*Review {
	last := map[string]*Review{}
	for i := range p.Reviews {
		if r := &p.Reviews[i]; r.OpsDigest == p.OpsDigest && r.Verdict != VerdictComment {
			last[r.By] = r
		}
	}
	return last
}

// Approvals returns the reviewers who approve the current ops, in the order of their approvals.
func (p *Proposal) Approvals() []string {
	standing := p.Standing()
	var list []string
	for i := range p.Reviews {
		if r := &p.Reviews[i]; standing[r.By] == r && r.Verdict == VerdictApprove {
			list = append(list, r.By)
		}
	}
	return list
}

// Overrides returns the reviews that let the current ops be applied without approvals, the oldest first.
func (p *Proposal) Overrides() []*Review {
	standing := p.Standing()
	var list []*Review
	for i := range p.Reviews {
		if r := &p.Reviews[i]; standing[r.By] == r && r.Verdict == VerdictOverride {
			list = append(list, r)
		}
	}
	return list
}

// AppliedPatch is the patch that marks a proposal as applied.
const AppliedPatch = `{"state":"applied"}`

// ApplyOps returns the ops of the batch that applies the proposal: its own, and one that marks it as applied.
func (p *Proposal) ApplyOps() ([]Op, error) {
	ops := make([]Op, 0, len(p.Ops)+1)
	for i := range p.Ops {
		op, err := p.Ops[i].Op()
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	done := Op{Verb: VerbPatch, Key: p.Key(), Patch: json.RawMessage(AppliedPatch), IfVersion: p.Version}
	return append(ops, done), nil
}

// ApplyID returns the id of the batch that applies this version of the proposal, so that applying it twice is one
// batch.
func (p *Proposal) ApplyID() BatchID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:tenet:proposal:"+p.ProposalID+":"+strconv.FormatInt(p.Version,
		10)))
}

// MayBeApplyID reports whether a batch may be one that applies a proposal. Other ids are made of time and chance.
func MayBeApplyID(id BatchID) bool { return id.Version() == 5 }

// What begins and ends the line that says of a proposal which agent has written it for whom.
const (
	agentBegins = "Written by the agent "
	agentEnds   = ", whose writes wait for a person."
)

// WrittenBy returns the line that says at the end of a proposal's Why that an agent has written it: with an account of
// its own, or, where it has a name beside that, with that of a person.
func WrittenBy(account, agent string) string {
	if agent == "" {
		return "Written by " + account + ", an agent" + agentEnds
	}
	return agentBegins + agent + " for " + account + agentEnds
}

// Agent returns the name of the agent that has written a proposal with the account of a person, "" for none.
func (p *Proposal) Agent() string {
	said := p.Why[strings.LastIndexByte(p.Why, '\n')+1:]
	name, begins := strings.CutPrefix(said, agentBegins)
	name, ends := strings.CutSuffix(name, " for "+p.CreatedBy+agentEnds)
	if !begins || !ends {
		return ""
	}
	return name
}

// SameOps reports whether ops are exactly the ops of the proposal, in their order.
func (p *Proposal) SameOps(ops []Op) bool {
	want, err := p.ApplyOps()
	if err != nil || len(ops) != len(want)-1 {
		return false
	}
	return slices.EqualFunc(ops, want[:len(ops)], func(a, b Op) bool {
		x, err := json.Marshal(a)
		y, failed := json.Marshal(b)
		return err == nil && failed == nil && bytes.Equal(x, y)
	})
}

// named implements namer.
func (p *Proposal) named() []*string {
	fields := make([]*string, len(p.Reviews))
	for i := range p.Reviews {
		fields[i] = &p.Reviews[i].By
	}
	return fields
}

func (*Proposal) document() {}

// KindProposal is the kind of [*Proposal].
const KindProposal Kind = "proposal"

func describeProposal() *Description {
	return &Description{
		Kind: KindProposal, Plural: "proposals", About: "Changes that wait for somebody to approve of them",
		New:         func() Document { return &Proposal{IsActive: true} },
		ActiveField: "is_active", TitleField: "title", TextField: "why", UUID: true, NoMarkdown: true,
		Filters: []Filter{{
			Name: "status", Field: "state", Values: ProposalStates(), Doc: "Where they stand", Example: ProposalOpen,
			Indexed: []Order{OrderHouse},
		}},
		Needed: []string{"title", "ops"},
		Columns: []Column{
			column("ID", func(p *Proposal) string { return p.ProposalID }),
			column("STATE", func(p *Proposal) string { return p.State }),
			column("BY", func(p *Proposal) string {
				if agent := p.Agent(); agent != "" {
					return p.CreatedBy + ", by agent " + agent
				}
				return p.CreatedBy
			}),
			column("OPS", func(p *Proposal) string { return strconv.Itoa(len(p.Ops)) }),
			column("APPROVALS", func(p *Proposal) string {
				if len(p.Overrides()) > 0 {
					return "overridden"
				}
				return strconv.Itoa(len(p.Approvals()))
			}),
			column("TITLE", func(p *Proposal) string { return p.Title }),
		},
		Example: func() Document {
			return &Proposal{
				ProposalID: "01890a5d-ac96-774b-bcce-b302099a8050", Title: "Say what to do with dynamic table names",
				IsActive: true,
				Why:      "The rule was asked about twice this week.",
				Ops: []ProposedOp{{
					Verb: VerbPatch, Kind: string(KindRule), ID: "SEC-001", IfVersion: 1,
					Patch: map[string]any{"priority": json.Number("10")},
				}},
			}
		},
		Patches: []Sample{{"withdraw", "Its writer thinks better of it", map[string]any{"state": ProposalWithdrawn}}},
		Changed: [3]string{"title", "Parameterized queries", "Use parameterized queries"},
	}
}
