package mm2

import "strings"

// jaas is the one login of a sasl.jaas.config.
type jaas struct {
	module  string // the class's name, without its package
	options map[string]string
}

// parseJAAS reads MODULE FLAG NAME=VALUE ... ; and nothing else.
func parseJAAS(text string) (login jaas, ok bool) {
	words, ok := jaasWords(text)
	if !ok || len(words) < 3 || words[len(words)-1] != ";" || words[0] == "=" || words[1] == "=" {
		return jaas{}, false
	}
	login = jaas{words[0][strings.LastIndexByte(words[0], '.')+1:], map[string]string{}}
	options := words[2 : len(words)-1]
	for len(options) >= 3 && options[1] == "=" {
		login.options[options[0]] = options[2]
		options = options[3:]
	}
	if len(options) > 0 {
		return jaas{}, false
	}
	return login, true
}

// jaasWords gives words, quoted strings without their quotes, = and ;.
func jaasWords(text string) (words []string, ok bool) {
	for {
		text = strings.TrimSpace(text)
		if text == "" {
			return words, true
		}
		switch text[0] {
		case '=', ';':
			words, text = append(words, text[:1]), text[1:]
		case '"', '\'':
			var b strings.Builder
			end := 1
			for ; end < len(text) && text[end] != text[0]; end++ {
				if text[end] == '\\' && end+1 < len(text) {
					end++
				}
				b.WriteByte(text[end])
			}
			if end == len(text) {
				return nil, false
			}
			words, text = append(words, b.String()), text[end+1:]
		default:
			end := strings.IndexAny(text, " \t\n\r=;")
			if end < 0 {
				end = len(text)
			}
			words, text = append(words, text[:end]), text[end:]
		}
	}
}
