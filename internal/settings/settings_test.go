package settings_test

import (
	"strings"
	"testing"
	"time"

	"tenet/internal/settings"
)

type group struct {
	Wait   time.Duration `name:"wait" default:"5m" doc:"How long"`
	Refuse bool          `name:"writes" words:"keep,refuse" default:"keep"`
	NoSeed bool          `name:"seed" words:"true,false" default:"true"`
	Log    func()
}

type options struct {
	Most  int      `name:"most" default:"7" least:"1"`
	Group group    // its settings stand here
	Hosts []string `name:"hosts" split:","`
	Proxy []string `name:"proxy"`
	Plain string
	inner struct {
		Hidden string `name:"hidden"`
	}
}

func TestSettingsOfNestedGroupsStandInTheirPlace(t *testing.T) {
	var names []string
	for _, s := range settings.Of(&options{}) {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "most wait writes seed hosts proxy" {
		t.Errorf("settings %q", got)
	}
}

func TestDefaultsFillOnlyWhatIsZero(t *testing.T) {
	o := options{Group: group{Wait: time.Second}}
	settings.Defaults(&o)
	if o.Most != 7 || o.Group.Wait != time.Second || o.Group.Refuse || o.Group.NoSeed || o.inner.Hidden != "" {
		t.Errorf("got %+v", o)
	}
}

func TestValuesAreReadAndWritten(t *testing.T) {
	for _, c := range []struct{ name, text, shown, fault string }{
		{name: "most", text: "12", shown: "12"},
		{name: "most", text: "0", fault: "0: want a number from 1"},
		{name: "most", text: "many", fault: `"many": want a whole number`},
		{name: "wait", text: "60s", shown: "1m"},
		{name: "wait", text: "-1s", fault: `"-1s": want a duration such as 500ms, 30s or 5m`},
		{name: "writes", text: "refuse", shown: "refuse"},
		{name: "writes", text: "true", fault: `"true": want keep or refuse`},
		{name: "seed", text: "0", shown: "false"},
		{name: "seed", text: "no", fault: `"no": want true or false`},
		{name: "hosts", text: "a, b,", shown: "a,b"},
		{name: "proxy", text: "a, b", shown: "a, b"},
	} {
		for _, s := range settings.Of(&options{}) {
			if s.Name != c.name {
				continue
			}
			err := s.Set(c.text)
			if c.fault != "" && (err == nil || err.Error() != c.fault) || c.fault == "" && (err != nil ||
				s.String() != c.shown) {
				t.Errorf("%s=%s: shown %q, error %v; want %q, %q", c.name, c.text, s.String(), err, c.shown, c.fault)
			}
		}
	}
}

func TestABoolOfOppositeMeaningIsSet(t *testing.T) {
	var o options
	for _, s := range settings.Of(&o) {
		if s.Name == "seed" {
			if err := s.Set("false"); err != nil || !o.Group.NoSeed || s.Type() != "bool" {
				t.Errorf("NoSeed is %v, %v, of type %s", o.Group.NoSeed, err, s.Type())
			}
		}
	}
}
