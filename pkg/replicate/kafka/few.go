package kafka

import (
	"fmt"
	"strings"
)

// Few names the first few of a list, and says how many more there are.
func Few(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}
