package stepwise

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A time-out ends in the middle of a check as well as between two. In any case the step that is named is one that is
// not done, or not known to be, and says why; never one that holds, and never nothing.
func TestTimeOutsHaveAReason(t *testing.T) {
	type check struct {
		missing string
		cut     bool // the time ends while it asks, and the answer is an error, or none
		silent  bool
	}
	for _, row := range []struct {
		why    string
		rounds [][]check // by round, then by step
		step   string
		want   string
	}{
		{"in the first check of all", [][]check{{{cut: true}}}, "silent", "not known yet: the time ran out"},
		{"in a check that answers as if all were well", [][]check{{{cut: true, silent: true}}}, "idle", "not known yet"},
		{"in a later step, the first time", [][]check{{{}, {cut: true}}}, "idle", "not known yet"},
		{"while a later step is waited for", [][]check{{{}, {}, {missing: "lag 5"}}, {{cut: true}}}, "copied", "lag 5"},
		{"in the step that is waited for", [][]check{{{}, {missing: "2 members"}}, {{}, {cut: true}}}, "idle", "2 members"},
		{"after what was waited for has come", [][]check{{{}, {missing: "2 members"}}, {{}, {}, {cut: true}}}, "copied",
			"not known yet"},
		{"when a step before has come undone", [][]check{{{}, {}, {missing: "lag 5"}}, {{missing: "records arrive"}},
			{{cut: true}}}, "silent", "records arrive"},
	} {
		ctx, end := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
		round := 0
		var steps []Step
		for n, name := range []string{"silent", "idle", "copied"} {
			steps = append(steps, Step{Name: name, Check: func(ctx context.Context) (string, error) {
				asked := row.rounds[min(round, len(row.rounds)-1)]
				if n >= len(asked) {
					return "", errors.New("asked too much")
				}
				answer := asked[n]
				if answer.missing != "" {
					round++
				}
				if !answer.cut {
					return answer.missing, nil
				}
				end()
				if answer.silent {
					return "", nil
				}
				return "", ctx.Err()
			}})
		}
		cut := timedOut{ctx}
		err := Run(cut, steps, time.Nanosecond, func(Step, string) {})
		end()
		var waits *WaitingError
		if !errors.As(err, &waits) || waits.Step != row.step || !strings.Contains(waits.Missing, row.want) ||
			waits.Remedy() == "" || strings.HasSuffix(strings.TrimSpace(err.Error()), ":") {
			t.Errorf("%s: it ends with %v, want step %s and %q", row.why, err, row.step, row.want)
		}
	}
}

// timedOut is a context whose end is always that of its time.
type timedOut struct{ context.Context }

func (c timedOut) Err() error {
	if c.Context.Err() != nil {
		return context.DeadlineExceeded
	}
	return nil
}

// A state that is not done says what is missing, whatever the check has answered.
func TestStatesHaveAReason(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), gone} {
		for _, missing := range []string{"", "lag 5"} {
			for _, err := range []error{nil, errors.New("refused"), context.Canceled} {
				step := Step{Name: "copied", Check: func(context.Context) (string, error) { return missing, err }}
				states := Check(ctx, []Step{step})
				what := fmt.Sprintf("%q, %v with a context that ends with %v", missing, err, ctx.Err())
				if s := states[0]; s.Done == (s.Missing != "") {
					t.Errorf("%s: %+v", what, s)
				}
				if states[0].Done && ctx.Err() != nil {
					t.Errorf("%s: a step that was not asked is done", what)
				}
				if refused := Refusal(states); ctx.Err() != nil && missing == "" && refused != nil {
					t.Errorf("%s: time that ran out is a refusal: %v", what, refused)
				}
				if late := InTime(ctx, states); (late != nil) != (ctx.Err() != nil) {
					t.Errorf("%s: in time: %v", what, late)
				}
			}
		}
	}
}
