package sandbox

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var sdk = flag.String("sdk", "", "a directory with sdk.js and the vendor's SDK that it calls the sandbox by; empty leaves the test out")

// The vendor's own SDK signs calls that the sandbox takes, and understands its answers.
func TestTheVendorsSDKUnderstandsTheSandbox(t *testing.T) {
	if *sdk == "" {
		t.Skip("is for -sdk")
	}
	cloud := New(Options{AccessKeyID: "id", AccessKeySecret: "secret"})
	cloud.AddLogstore("ali-test-project", Logstore{Name: "access", RowsPerMinute: 1, TTL: 30})
	server := httptest.NewServer(cloud)
	defer server.Close()
	to := time.Now().Truncate(time.Hour)
	node := exec.CommandContext(t.Context(), "node", "sdk.js")
	node.Dir, node.Stderr = *sdk, os.Stderr
	node.Env = append(os.Environ(), "KEY=id", "SECRET=secret", "ENDPOINT="+strings.TrimPrefix(server.URL, "http://"),
		fmt.Sprintf("FROM=%d", to.Add(-time.Hour).Unix()), fmt.Sprintf("TO=%d", to.Unix()))
	out, err := node.Output()
	if err != nil {
		t.Fatal(err)
	}
	type failure struct {
		Code   string `json:"code"`
		Status int    `json:"status"`
	}
	type job struct {
		Name      string `json:"name"`
		Status    string `json:"status"`
		Execution struct {
			FilePath string `json:"filePath"`
			LogCount int    `json:"logCount"`
		} `json:"executionDetails"`
	}
	var said struct {
		Store             logstoreDescription
		Histogram         []interval
		Job               job
		None, Again, Gone failure
		Made, Deleted     *failure
		List              struct {
			Total, Count int
			Results      []job
		}
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	counted := 0
	for _, i := range said.Histogram {
		counted += i.Count
	}
	if said.Job.Status != JobSucceeded || said.Job.Execution.FilePath == "" || counted == 0 || said.Job.Execution.LogCount != counted {
		t.Errorf("%+v, and the histogram counts %d", said.Job, counted)
	}
	if said.Made != nil || said.Deleted != nil || said.List.Total != 1 || len(said.List.Results) != 1 || said.List.Results[0].Name != said.Job.Name {
		t.Errorf("made %v, deleted %v, listed %+v", said.Made, said.Deleted, said.List)
	}
	got := []any{said.Store, said.None, said.Again, said.Gone}
	want := []any{logstoreDescription{"access", 30}, failure{"LogStoreNotExist", 404}, failure{"JobAlreadyExist", 400}, failure{"JobNotExist", 404}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
