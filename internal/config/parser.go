package config

// parser knows what the file means: its keys, and what holds between them.
type parser struct {
	yaml  *reader
	found *findings
	env   *environment
	told  *told
	// withoutFlows: clusters are all that is asked for; flows that are given are read all the same.
	withoutFlows bool
	prefixes     map[string]string // by cluster
}

func newParser(getenv func(string) (string, bool), read func(string) ([]byte, error)) *parser {
	env := newEnvironment(getenv, read)
	found := &findings{places: map[string]int{}, faulty: map[string]bool{}, mask: env.mask}
	told := &told{found: found, env: env, raw: map[string]string{}}
	return &parser{yaml: &reader{found, env, told}, found: found, env: env, told: told, prefixes: map[string]string{}}
}
