package terminal

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// Agrees asks whoever is at the terminal whether to go on; somebody is false where nobody is there to be asked.
func Agrees(ctx context.Context, in io.Reader, out io.Writer) (yes, somebody bool) {
	if file, ok := in.(*os.File); !ok || !IsTerminal(file) {
		return false, false
	}
	fmt.Fprint(out, "type yes to go on: ")
	answers := make(chan string, 1)
	go func() { // it waits for its line also when nobody asks any more
		answer, _ := bufio.NewReader(in).ReadString('\n') // what there is counts
		answers <- answer
	}()
	select {
	case answer := <-answers:
		return strings.TrimSpace(answer) == "yes", true
	case <-ctx.Done():
		return false, true
	}
}
