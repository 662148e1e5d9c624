package proof

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"replicator/internal/answers"
	"replicator/pkg/operate/verify"
)

func verified(verdict verify.Verdict, flows ...string) answers.Verified {
	all := answers.Verified{Flows: []*verify.Report{}, Failed: []answers.Failed{}}
	for _, flow := range flows {
		all.Flows = append(all.Flows, &verify.Report{Flow: flow, Verdict: verdict})
	}
	return all
}

// A report is replaced by one that says no less, and by no other.
func TestAReportIsReplacedByOneThatSaysNoLess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proof.json")
	keep := func(asked Report, all answers.Verified) error {
		t.Helper()
		asked.Path = path
		file, err := Open(asked)
		if err != nil {
			return err
		}
		defer file.Drop()
		return file.Keep(all)
	}
	both, one := []string{"a->b", "a->c"}, []string{"a->b"}
	for _, c := range []struct {
		why     string
		asked   Report
		all     answers.Verified
		refused string // "": it is in place
		beside  bool   // and the new one has a name of its own
	}{
		{"the first", Report{Flows: both}, verified(verify.Different, both...), "", false},
		{"a better one", Report{Flows: both}, verified(verify.Equal, both...), "", false},
		{"a worse one", Report{Flows: both}, verified(verify.Incomplete, both...), "was equal then, and is incomplete now",
			true},
		{"about less", Report{Flows: one}, verified(verify.Equal, one...), "it is about flow a->c as well", false},
		{"about fewer topics", Report{Flows: both, Filters: verify.Filters{Topics: "orders"}},
			verified(verify.Equal, both...), "it is about more topics", false},
		{"about less, on purpose", Report{Flows: one, Overwrite: true}, verified(verify.Different, one...), "", false},
	} {
		before, _ := os.ReadFile(path) // none at first
		err := keep(c.asked, c.all)
		after, _ := os.ReadFile(path)
		if c.refused == "" && (err != nil || string(after) == string(before)) {
			t.Errorf("%s: not in place: %v", c.why, err)
		}
		if c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused) || string(after) != string(before)) {
			t.Errorf("%s: %v, want %q, and the former report in place", c.why, err, c.refused)
		}
		others, globErr := filepath.Glob(path + ".*")
		if globErr != nil || (len(others) > 0) != c.beside {
			t.Errorf("%s: beside it are %v, want one: %t", c.why, others, c.beside)
		}
		for _, other := range others {
			if err := os.Remove(other); err != nil {
				t.Fatal(err)
			}
		}
	}
}
