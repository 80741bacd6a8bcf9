package catalog

import (
	"encoding/json"
	"slices"
	"strings"
)

// Doubted counts, by the name of their place, the exports that landed and have a doubt of a
// kind that nobody has accepted, such as "count-mismatch": a doubt begins with its kind and a
// colon.
func (c *Catalog) Doubted(kind string) (map[string]int64, error) {
	counts := map[string]int64{}
	for row, err := range c.query("SELECT place, doubts, accepted_doubts FROM exports WHERE place IN (SELECT id FROM places) AND open > 0 AND instr(doubts, ?) > 0", kind+": ") {
		if err != nil {
			return nil, err
		}
		var doubts, accepted []string
		if err := json.Unmarshal([]byte(row.ColumnText(1)), &doubts); err != nil {
			return nil, err
		}
		_ = json.Unmarshal([]byte(row.ColumnText(2)), &accepted) // none if it is ""
		isOpen := func(doubt string) bool {
			return strings.HasPrefix(doubt, kind+": ") && !slices.Contains(accepted, doubt)
		}
		if slices.ContainsFunc(doubts, isOpen) {
			counts[c.places.names[row.ColumnInt64(0)]]++
		}
	}
	return counts, nil
}
