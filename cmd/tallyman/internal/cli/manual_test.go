package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// What a page says is to be shown as it was written, and to be good for copying.
func TestAManualPageShowsWhatHelpSays(t *testing.T) {
	t.Parallel()
	root := &cobra.Command{Use: "tallyman", Short: "Fetch"}
	cmd := &cobra.Command{
		Use: "fetch REF...", Short: "Fetch an export", Run: func(*cobra.Command, []string) {},
		Long:    "Fetch reads\n.hidden, 'quoted' and C:\\new:\n\n  ~/a-b\n\nand ends.",
		Example: "  tallyman fetch sls://a/b/c",
	}
	root.AddCommand(cmd)
	cmd.Flags().StringP("file", "f", "", "read `FILE`")
	cmd.Flags().Int("parallel", 8, "fetch `N` at once")
	cmd.Flags().Bool("secret", false, "")
	_ = cmd.Flags().MarkHidden("secret")
	GroupFlags(cmd.Flags(), "How to transfer it", "parallel")
	var page strings.Builder
	if err := PrintManual(&page, cmd); err != nil {
		t.Fatal(err)
	}
	want := `.TH "TALLYMAN-FETCH" "1" "" "tallyman" "Tallyman Manual"
.nh
.ad l
.SH NAME
tallyman\-fetch \- Fetch an export
.SH SYNOPSIS
\fBtallyman fetch REF... [flags]\fP
.SH DESCRIPTION
Fetch reads
\&.hidden, \(aqquoted\(aq and C:\enew:
.PP
.EX
  \(ti/a\-b
.EE
.PP
and ends.
.SH OPTIONS
.SS Flags
.TP
\fB\-f\fP, \fB\-\-file\fP \fIFILE\fP
read FILE
.SS How to transfer it
.TP
\fB\-\-parallel\fP \fIN\fP
fetch N at once (default 8)
.SS Flags of every command
.TP
\fB\-h\fP, \fB\-\-help\fP
help for fetch
.SH EXAMPLES
.EX
  tallyman fetch sls://a/b/c
.EE
.SH SEE ALSO
\fBtallyman\fP(1)
`
	if page.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &page, want)
	}
}
