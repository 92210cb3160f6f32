// Package export_sandclock_plugin_output_redaction hides tokens, and words that the job configures, in the output of runs.
package export_sandclock_plugin_output_redaction

import (
	"bytes"
	"encoding/binary"

	redaction "plugin.example/{{name}}/bindings/sandclock_plugin_output_redaction"
	"plugin.example/{{name}}/settings"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// A token: the prefix, and so many letters and digits.
const (
	prefix  = "tok_"
	fewest  = 16
	most    = 64
	longest = len(prefix) + most
)

// What the host takes at once.
const maxEdits = 4096

// Of this stream.
var (
	words [][]byte
	// What any of them may begin with.
	begins [256]bool
	// Bytes of the longest match that there may be.
	reach int
)

// Begin reads the configuration.
func Begin(_ redaction.RunInfo, _ redaction.Channel) wit.Result[wit.Unit, string] {
	found, err := settings.Read()
	if err != nil {
		return wit.Err[wit.Unit](err.Error())
	}
	words, reach = found, longest
	begins[prefix[0]] = true
	for _, word := range words {
		begins[word[0]] = true
		reach = max(reach, len(word))
	}
	return wit.Ok[wit.Unit, string](wit.Unit{})
}

// The bytes of a token at the beginning of the text; 0 if there is none.
func token(text []byte) int {
	if !bytes.HasPrefix(text, []byte(prefix)) {
		return 0
	}
	end := len(prefix)
	for end < len(text) && end < longest && alphanumeric(text[end]) {
		end++
	}
	if end < len(prefix)+fewest {
		return 0
	}
	return end
}

func alphanumeric(b byte) bool {
	return 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' || '0' <= b && b <= '9'
}

// The bytes of the longest word at the beginning of the text; 0 if there is none.
func word(text []byte) int {
	found := 0
	for _, word := range words {
		if len(word) > found && bytes.HasPrefix(text, word) {
			found = len(word)
		}
	}
	return found
}

// A stretch to hide, by offsets of the window. One without a rule belongs to a match of the window before, whose label is written.
type stretch struct {
	start, end int
	rule       string
}

// The rest of a window, and what of it is hidden already.
type scan struct {
	window []byte
	flush  redaction.Flush
	// Where it is undecided from: a match may begin there whose end has not come.
	sure   int
	hidden []stretch
	end    int
}

// Hides a match. It joins the stretch that it begins in, so that none hides another's beginning.
func (s *scan) hide(start, end int, rule string) {
	if start >= s.end {
		if len(s.hidden) == maxEdits {
			// The rest comes again, or is hidden as a whole.
			if s.flush == redaction.FlushMore {
				s.sure = start
				return
			}
			end, s.sure = len(s.window), len(s.window)
		} else {
			s.hidden = append(s.hidden, stretch{start, end, rule})
		}
	}
	s.end = max(s.end, end)
	s.hidden[len(s.hidden)-1].end = s.end
}

func (s *scan) verdict() redaction.Verdict {
	edits := []redaction.Edit{}
	for _, part := range s.hidden {
		end := min(part.end, s.sure)
		if end <= part.start {
			continue
		}
		replacement := ""
		if part.rule != "" {
			replacement = "[redacted:" + part.rule + "]"
		}
		edits = append(edits, redaction.Edit{
			Start:       uint32(part.start),
			Len:         uint32(end - part.start),
			Replacement: replacement,
			Rule:        part.rule,
		})
	}
	carry := []byte{}
	if ahead := s.end - s.sure; ahead > 0 {
		carry = binary.BigEndian.AppendUint16(carry, uint16(ahead))
	}
	return redaction.Verdict{Edits: edits, Consumed: uint32(s.sure), Carry: carry}
}

// Scan answers what to hide of the window, and how much of it is decided.
func Scan(window []byte, _ uint32, flush redaction.Flush, carry []byte) wit.Result[redaction.Verdict, string] {
	s := scan{window: window, flush: flush, sure: len(window)}
	if flush != redaction.FlushLast {
		s.sure = max(len(window)-reach+1, 0)
	}
	if len(carry) == 2 {
		s.end = int(binary.BigEndian.Uint16(carry))
		s.hidden = append(s.hidden, stretch{0, s.end, ""})
	}
	for at := 0; at < s.sure; at++ {
		text := window[at:]
		if !begins[text[0]] {
			continue
		}
		if found := token(text); found > 0 {
			s.hide(at, at+found, "token")
		}
		if found := word(text); found > 0 && at < s.sure {
			s.hide(at, at+found, "word")
		}
	}
	return wit.Ok[redaction.Verdict, string](s.verdict())
}
