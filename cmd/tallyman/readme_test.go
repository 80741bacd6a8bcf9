package main

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// headings are those of the way of a user through the README, and what they are in Chinese.
var headings = [][2]string{
	{"Five minutes to the first bag", "五分钟拿到第一份数据"},
	{"Every night", "每晚自动归档"},
	{"By a worker", "由 worker 定时归档"},
	{"Many machines", "多台机器"},
	{"Prove it", "证明"},
	{"What is verified", "校验了什么"},
	{"Is it complete?", "数据齐不齐"},
	{"Held against the source", "与数据源核对"},
	{"Export what lacks", "补齐缺口"},
	{"What lands", "归档里有什么"},
	{"Operate it", "运维"},
	{"Reference", "参考"},
}

// readme returns the way of a user through a README: its headings, and each line of its
// blocks of code without comments. What is behind the heading that is named last is left out.
func readme(t *testing.T, path, last string) (titles, code []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`\s+#\s.*$`)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if title := strings.TrimLeft(line, "#"); title != line && strings.HasPrefix(title, " ") && !strings.HasPrefix(line, "# ") {
			if titles = append(titles, strings.TrimSpace(title)); strings.TrimSpace(title) == last {
				break
			}
		}
		if strings.HasPrefix(line, "    ") {
			code = append(code, strings.Join(strings.Fields(comment.ReplaceAllString(line, "")), " "))
		}
	}
	return titles, code
}

// programs are what the lines of code begin with that are commands.
var programs = regexp.MustCompile(`^(tallyman|docker|go|export|set) `)

func commandsIn(code []string) (commands []string) {
	for _, line := range code {
		if programs.MatchString(line) {
			commands = append(commands, line)
		}
	}
	return commands
}

// The Chinese README leads the same way as the English one: its headings and its commands are
// those, in the same order. Who changes one changes .github/README.zh-CN.md too.
func TestREADMEsLeadTheSameWay(t *testing.T) {
	t.Parallel()
	last := len(headings) - 1
	english, code := readme(t, "../../README.md", headings[last][0])
	chinese, codeInChinese := readme(t, "../../.github/README.zh-CN.md", headings[last][1])
	var want []string
	for i, title := range english {
		if i > last || title != headings[i][0] {
			t.Fatalf("the README has the heading %q: add it to headings, and to .github/README.zh-CN.md", title)
		}
		want = append(want, headings[i][1])
	}
	if diff := cmp.Diff(want, chinese); diff != "" {
		t.Errorf("headings of .github/README.zh-CN.md:\n%s", diff)
	}
	if diff := cmp.Diff(commandsIn(code), commandsIn(codeInChinese)); diff != "" {
		t.Errorf("commands of .github/README.zh-CN.md:\n%s", diff)
	}
}

// Each command in a README is one that the program takes.
func TestREADMEsCommandsAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"../../README.md", "../../.github/README.zh-CN.md"} {
		_, code := readme(t, path, "")
		tried := 0
		for _, line := range code {
			for part := range strings.SplitSeq(line, " | ") {
				part, _, _ = strings.Cut(part, " > ")
				if args, ok := strings.CutPrefix(part, "tallyman "); ok {
					tried++
					fits(t, wordsOf(args))
				}
			}
		}
		if tried < 20 {
			t.Errorf("%s has %d commands only", path, tried)
		}
	}
}

// wordsOf divides a command into words, as a shell does with single quotes.
func wordsOf(line string) (words []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

// Each file of Go that the map for contributors names is there.
func TestTheREADMEForContributorsNamesFilesThatAreThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../.github/CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	var tree strings.Builder
	err = fs.WalkDir(os.DirFS("../.."), ".", func(path string, _ fs.DirEntry, err error) error {
		tree.WriteString("/" + path + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`([a-z/_]+\\.go)`").FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(tree.String(), "/"+m[1]+"\n") {
			t.Errorf("CONTRIBUTING.md names %s, and there is none", m[1])
		}
	}
}
