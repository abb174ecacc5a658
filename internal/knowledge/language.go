package knowledge

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/spanish"
	"golang.org/x/text/unicode/norm"
)

// A tongue is a language with a stemmer.
type tongue uint8

const (
	inEnglish tongue = iota
	inGerman
	inFrench
	inSpanish
	tongues
)

// stemMark begins the terms that are stems. A word that is its own English stem is indexed once, without a mark.
const stemMark = "\x01"

// mark is the text between stemMark and a stem.
func (l tongue) mark() string { return stemMark + "edfs"[l:l+1] }

// A stemmer stems words. It is for one goroutine, and keeps no state between words.
type stemmer struct{ env *snowballstem.Env }

func newStemmer() stemmer { return stemmer{snowballstem.NewEnv("")} }

// HoldsWord reports whether a text holds a word, perhaps in another form of it.
func HoldsWord(text, word string) bool {
	s := newStemmer()
	stem := s.stem(inEnglish, word)
	return slices.ContainsFunc(Words(text), func(w string) bool { return s.stem(inEnglish, w) == stem })
}

// stem returns the stem of a word in lower case. A word with digits or signs is its own stem.
func (s stemmer) stem(l tongue, word string) string {
	if len(word) < 3 || len(word) > 64 {
		return word
	}
	for i := range len(word) {
		if c := word[i]; c < utf8.RuneSelf && (c < 'a' || c > 'z') {
			return word
		}
	}
	s.env.SetCurrent(word)
	switch l {
	case inGerman:
		german.Stem(s.env)
	case inFrench:
		french.Stem(s.env)
	case inSpanish:
		spanish.Stem(s.env)
	case inEnglish, tongues:
		english.Stem(s.env)
	}
	out := s.env.Current()
	switch {
	case out == "":
		return word
	case l != inEnglish || len(out) < 6:
		return out
	}
	// British and American spelling: organise and organize, behaviour and behavior.
	if t, ok := strings.CutSuffix(out, "is"); ok {
		return t + "iz"
	}
	if t, ok := strings.CutSuffix(out, "our"); ok {
		return t + "or"
	}
	return out
}

func ascii(word string) bool {
	for i := range len(word) {
		if word[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold removes accents from a word in lower case and replaces special letters by common ones, so that it is found with
// and without them. A final sigma becomes an ordinary one.
func fold(word string) string {
	if ascii(word) {
		return word
	}
	bare := strings.Map(func(r rune) rune {
		switch {
		case r >= 0x0300 && r <= 0x036f: // the combining marks of European scripts; elsewhere they are letters
			return -1
		case r == 'ς':
			return 'σ'
		case r == 'ı':
			return 'i'
		case r == 'ł':
			return 'l'
		case r == 'đ' || r == 'ð':
			return 'd'
		case r == 'ø':
			return 'o'
		}
		return r
	}, norm.NFKD.String(word))
	return norm.NFC.String(ligatures.Replace(bare))
}

//nolint:gochecknoglobals // replacers are made once and never change
var (
	ligatures = strings.NewReplacer("ß", "ss", "æ", "ae", "œ", "oe", "þ", "th")
	umlauts   = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ø", "oe", "å", "aa")
)

// spelled returns a word with its umlauts written as two letters, or "" if it has none.
func spelled(word string) string {
	if ascii(word) {
		return ""
	}
	word = norm.NFC.String(word)
	if out := umlauts.Replace(word); out != word {
		return fold(out)
	}
	return ""
}

// tongueOf guesses the language of a text from its most frequent words, in lower case. It is English unless another one
// is clearly more likely.
func tongueOf(words []string) tongue {
	var seen [tongues]int
	for i, w := range words {
		if i == 400 {
			break
		}
		for l := range stopLists() {
			if len(w) > 1 && stopLists()[l][w] { // single letters are elisions, or names of languages
				seen[l]++
			}
		}
	}
	best := inEnglish
	for l := inGerman; l < tongues; l++ {
		if seen[l] >= 2 && seen[l] > seen[inEnglish] && seen[l] > seen[best] {
			best = l
		}
	}
	return best
}

// stopLists are the stop words of each language.
//
//nolint:gochecknoglobals,misspell // made once, never written again; Spanish
var stopLists = sync.OnceValue(func() *[tongues]map[string]bool {
	return &[tongues]map[string]bool{
		wordSet(`a about after actually again all also am an and any are as at be because been before being both but by
			can cannot could did do does
doing done during each either else for from further get gets getting give given gives go goes going got had has have
having he hence her here
hers herself him himself his how i if in into is it its itself just let like ll made make makes making many may me
might more most much must my
myself need needs neither no nor not of off ok okay on once one only onto or other others ought our ours ourselves out
over own per please put re really s same
shall she should since so some somebody someone something such sure t than that the their theirs them themselves then
there these they
thing things this those though through thus to too under until up upon us ve very via want wants was way we well were
what whatever when
where whether which while who whom whose why will with within without would yes yet you your yours yourself`),
		wordSet(`aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis bist da dabei damit dann das dass
dein deine dem den denn der des dessen dich die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines
er es etwas euch euer eure für fuer gegen gewesen gibt gut gute guten guter gutes hab habe haben hat hatte hatten hier hin ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in
indem ins ist ja jede jedem jeden jeder jedes jene kann kein keine keinem keinen keiner mache machen macht können koennen könnte man manche mein meine mich mir mit muss müssen
muessen nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seit sich sie sind so soll sollen sollte sollten solche
sondern sonst über ueber um und uns unser unsere unter viel vom von vor während war waren warum was weil welche welchem welchen welcher welches wenn wer
werden wie wieder will wir wird wirst wo wollen worden wurde wurden würde zu zum zur zwar zwischen
bevor bitte brauche brauchen braucht darf darfst dürfen dürfte falls geht immer jetzt lange lassen lässt mehr möchte möchten mögen müsste nachdem nie schon
sobald sollst sowie statt trotz wann wegen wem wen weshalb wessen wieso wobei wodurch wofür woher wohin womit`),
		wordSet(`à au aucun aucune aussi autre autres aux avant avec avoir c car ce ceci cela celle celles celui ces cet cette ceux chaque ci comme
comment d dans de depuis des doit doivent donc dont du elle elles en encore entre es est et étaient était être etre eu fait faire faut il ils j je l la laquelle
le lequel les lesquels leur leurs lors lui m ma mais me même memes mes mon n ne ni non nos notre nous on ont ou où par parce pas pendant peut peuvent
plus pour pourquoi qu quand que quel quelle quelles quels qui quoi sa sans se ses si son sont sous sur ta te tes toi ton tous tout toute toutes très tu un
une vers vos votre vous y allons après ça chez combien déjà devons devrait dois faudrait jamais lorsque peux puis puisque toujours trop va vais veut veux voulons`),
		wordSet(`a al algo algunas algunos ante antes aquel aquella aquellos como cómo con contra cual cuál cuales cuando cuándo cuanta cuánta cuantas cuántas cuanto cuánto cuantos cuántos cada de debe deben debería debo del desde donde dónde
durante e el él ella ellas ellos en entre era es esa esas ese eso esos esta está están estas este esto estos estoy fue fueron ha haber había han hasta hay la
las le les lo los más mas me mi mis mucho muchos muy nada ni no nos nosotros nuestra nuestro o os otra otro otros para pero poco por porque puede pueden pues
qué que quien quién se sea ser si sí sido sin sobre son su sus también tambien tanto te tiene tienen toda todas todo todos tu tus un una unas uno unos usted y ya yo
aunque después durante hacemos hacer hago mientras nunca podemos podría puedo queremos quiero según siempre tenemos tener tengo`),
	}
})

// weakWords are English words of questions about anything. They say little about what is asked for, and count for
// less.
//
//nolint:gochecknoglobals // made once, never written again
var weakWords = sync.OnceValue(func() map[string]bool {
	return wordSet(`advice advise allowed already always anybody anyone anything ask asked asking asks away bad believe best better
bring came care colleague colleagues come comes complain consider contain contains correct correctly deal
different easily enough even ever every everybody everyone everything exactly explain far fear find finding
finds fine finished forget forgotten found good guess guy guys happen happened happening happens instead keep
keeping kept knew know knowing known knows lately later left likely little look looked looking looks lot lots
management matter matters mean means nearly never next nice nobody none nothing now often okay opinion past
possible possibly prefer proper properly quite rather ready really reason recommend recommended said saw say
saying says see seem seems seen show sometimes soon sort still stuff suddenly suppose supposed suspect take
taken takes taking talk tell telling tells think thinking thought today together told tomorrow took tried tries
trouble true try trying understand unsure useful usual usually went wonder wondering worse worst worth wrong
year years yesterday`)
})

// onlyEnglish reports whether words are clearly of an English text: two of its stop words, which no other language has,
// and none of another one.
func onlyEnglish(words []string) bool {
	own := 0
	for _, w := range words {
		other := stopLists()[inGerman][w] || stopLists()[inFrench][w] || stopLists()[inSpanish][w]
		switch english := stopLists()[inEnglish][w]; {
		case english && !other:
			own++
		case other && !english && len(w) > 1:
			return false
		}
	}
	return own > 1
}

func wordSet(list string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		set[w], set[fold(w)] = true, true
	}
	return set
}

// stopWord reports whether a word is a stop word in a query of a language. English stop words count in all languages,
// since texts mix them.
func stopWord(l tongue, word string) bool {
	return stopLists()[inEnglish][word] || stopLists()[l][word]
}

// sameThing lists synonyms.
//
//nolint:gochecknoglobals // made once, never written again
var sameThing = sync.OnceValue(func() map[string][]string {
	all := map[string][]string{}
	for _, names := range [][]string{
		{"c++", "cpp"},
		{"c#", "csharp"},
		{"f#", "fsharp"},
		{".net", "dotnet"},
		{"n+1", "n-plus-one"},
		{"node.js", "nodejs"},
		{"next.js", "nextjs"},
		{"vue.js", "vuejs"},
		{"kubernetes", "k8s"},
		{"javascript", "js"},
		{"typescript", "ts"},
		{"postgresql", "postgres"},
		{"golang", "go"},
		{"accessibility", "a11y"},
		{"internationalization", "i18n"},
		{"localization", "l10n"},
	} {
		for _, name := range names {
			for _, other := range names {
				if other != name {
					all[name] = append(all[name], other)
				}
			}
		}
	}
	return all
})
