package cli

import (
	"os/exec"
	"testing"
)

func TestAShellReadsAQuotedReferenceAsItIs(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{
		"sls://cn-hangzhou/ali-test-project/download-123",
		"dms://cn-hangzhou/11024/key?tid=1",
		"https://host/file.csv#md5=9e107d9d372bb6826bd81d3542a419d6&records=1200",
		"https://host/it's $HOME `here` \"too\" (1)",
	} {
		said, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+ShellQuote(ref)).Output()
		if err != nil || string(said) != ref {
			t.Errorf("%s is read as %s, %v", ShellQuote(ref), said, err)
		}
	}
	if plain := "sls://r/p/j"; ShellQuote(plain) != plain {
		t.Errorf("%s is quoted", plain)
	}
}
