package flagvalue

import (
	"fmt"
	"slices"
	"strings"
)

// Choice is one word of a fixed list. [NewChoice] makes one.
type Choice struct {
	word  string
	words []string
}

// NewChoice returns a Choice among words that has the value word.
func NewChoice(word string, words ...string) Choice { return Choice{word, words} }

// Words returns the words to choose from.
func (c *Choice) Words() []string { return c.words }

// Type implements pflag.Value.
func (c *Choice) Type() string { return strings.Join(c.words, "|") }

// String implements pflag.Value. It returns the word that was chosen.
func (c *Choice) String() string { return c.word }

// Set implements pflag.Value.
func (c *Choice) Set(text string) error {
	if !slices.Contains(c.words, text) {
		return fmt.Errorf("must be one of %s", strings.Join(c.words, ", "))
	}
	c.word = text
	return nil
}
