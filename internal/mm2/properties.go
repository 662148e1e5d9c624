package mm2

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// entry is one key of a properties file.
type entry struct {
	line       int // where it begins, from 1
	key, value string
	lost       bool // a backslash of the value fell to the file's own syntax
}

// parse reads Java's properties syntax as Kafka does: bytes are Latin-1, a backslash
// at a line's end continues it, and one before a letter without meaning vanishes.
func parse(data []byte, bad func(line int, format string, args ...any)) []entry {
	var entries []entry
	text := strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		first := i + 1
		logical := strings.TrimLeft(lines[i], blanks)
		if logical == "" || logical[0] == '#' || logical[0] == '!' {
			continue
		}
		for continued(logical) {
			logical = logical[:len(logical)-1]
			if i++; i == len(lines) {
				break
			}
			logical += strings.TrimLeft(lines[i], blanks)
		}
		key, value := cut(logical)
		e := entry{line: first}
		var err, errValue error
		if e.key, _, err = unescape(key); err == nil {
			e.value, e.lost, errValue = unescape(value)
		}
		if err != nil || errValue != nil {
			bad(first, "holds \\u without four hexadecimal digits behind it; MirrorMaker 2 refuses the file as well")
			continue
		}
		entries = append(entries, e)
	}
	return entries
}

const blanks = " \t\f"

// continued: an odd number of backslashes ends the line.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// cut divides a line at the first blank, = or : that no backslash protects.
func cut(line string) (key, value string) {
	end := 0
	for end < len(line) && !strings.ContainsRune(blanks+"=:", rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	value = strings.TrimLeft(line[end:], blanks)
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], blanks)
	}
	return line[:end], value
}

// unescape also says whether a backslash vanished that stood before something else
// than the syntax's own characters.
func unescape(text string) (plain string, lost bool, err error) {
	var units []uint16
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			units = append(units, uint16(text[i])) // Latin-1 is the beginning of Unicode
			continue
		}
		if i++; i == len(text) {
			break
		}
		switch c := text[i]; c {
		case 't', 'n', 'r', 'f':
			units = append(units, uint16(map[byte]byte{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f'}[c]))
		case 'u':
			var unit uint16
			if len(text) < i+5 {
				return "", false, fmt.Errorf("cut short")
			}
			for _, digit := range []byte(text[i+1 : i+5]) {
				at := strings.IndexByte("0123456789abcdef", digit|0x20)
				if at < 0 || digit < '0' {
					return "", false, fmt.Errorf("no digit")
				}
				unit = unit<<4 | uint16(at)
			}
			units = append(units, unit)
			i += 4
		default:
			lost = lost || !strings.ContainsRune(`\=:#! `, rune(c))
			units = append(units, uint16(c))
		}
	}
	return string(utf16.Decode(units)), lost, nil
}
