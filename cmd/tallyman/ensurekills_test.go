package main

import (
	"errors"
	"flag"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
)

var ensureKills = flag.Int("ensure-kills", 0, "how often to kill processes that ensure windows; 0 leaves the test out")

// Two processes ensure the same windows, and each is killed at random: every window that
// lacked has one job that lives, none that landed has one, and each job that was made has
// landed or is told to have failed.
func TestKilledProcessesMakeOneJobForEachWindow(t *testing.T) {
	if *ensureKills == 0 {
		t.Skip("is for -ensure-kills")
	}
	const killsOfADay, store = 4, "access"
	cloud := testCloud()
	cloud.AddLogstore(testProject, sandbox.Logstore{Name: store, RowsPerMinute: 1, JobFaults: map[int64]sandbox.JobFaults{}})
	server := httptest.NewServer(cloud)
	t.Cleanup(server.Close)
	seed := rand.Uint64()
	random, dir := rand.New(rand.NewPCG(seed, 0)), quickDir(t)
	place := "sls://cn-hangzhou/" + testProject + "/"
	start := func(args ...string) *process {
		p := command(t, append(args, "--archive", dir, "--poll", "10ms")...)
		p.Env = append(p.Env, "TALLYMAN_ENDPOINT_SLS="+server.URL, "TALLYMAN_ALLOW_HOST=127.0.0.1")
		p.start(t)
		return p
	}
	days := (*ensureKills + killsOfADay - 1) / killsOfADay
	today := time.Now().UTC().Truncate(24 * time.Hour)
	landed := map[time.Time]bool{}
	for day := range days {
		since := today.AddDate(0, 0, day-days)
		hour := func(n int) time.Time { return since.Add(time.Duration(n) * time.Hour) }
		cloud.UpdateLogstore(testProject, store, func(l *sandbox.Logstore) {
			l.JobFaults[hour(5).Unix()], l.JobFaults[hour(9).Unix()] = sandbox.JobFaults{Fail: 1}, sandbox.JobFaults{Gone: 1}
		})
		name := "console-" + since.Format("20060102")
		cloud.CreateJob(testProject, sandbox.Job{Name: name, Logstore: store, FromTime: hour(2), ToTime: hour(3), Statuses: []string{sandbox.JobSucceeded}})
		landed[hour(2)] = true
		start("fetch", place+name).exits(t, 0)
		ensure := func() *process {
			return start("ensure", place, "--logstore", store, "--since", since.Format(time.RFC3339), "--until", hour(24).Format(time.RFC3339), "--settle", "0s")
		}
		processes := []*process{ensure(), ensure()}
		for range killsOfADay {
			time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
			n := random.IntN(len(processes))
			_ = processes[n].Process.Kill() // it may have ended
			_ = processes[n].Wait()
			processes[n] = ensure()
		}
		for _, p := range processes {
			if code := exitOf(p.Wait()); code != 0 {
				t.Errorf("seed %d: it ended with %d\n%s", seed, code, &p.stderr)
			}
		}
		ensure().exits(t, 0)
	}
	checkEnsured(t, cloud, dir, landed, 24*days, seed)
}

// checkEnsured holds the jobs of the cloud against what is in the archive.
func checkEnsured(t *testing.T, cloud *sandbox.Cloud, dir string, landed map[time.Time]bool, windows int, seed uint64) {
	t.Helper()
	a, err := archive.Open(dir, "", archive.SiteArchive)
	if err != nil {
		t.Fatal(err)
	}
	living, made := map[time.Time]int{}, 0
	for _, job := range cloud.Jobs(testProject) {
		if !strings.HasPrefix(job.Name, "tallyman-") {
			continue
		}
		made++
		isLiving := job.Statuses[0] != sandbox.JobFailed && !job.File.Gone
		if from := job.FromTime.UTC(); isLiving {
			living[from]++
			if landed[from] {
				t.Errorf("seed %d: the window from %v had landed, and %s was made", seed, from, job.Name)
			}
		}
		ref, err := fetch.ParseRef("sls://cn-hangzhou/" + testProject + "/" + job.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Landed(ref.Key()); err != nil {
			if state, _, notKnown := a.State(ref.Key()); notKnown != nil || isLiving || state.Phase != archive.Failed {
				t.Errorf("seed %d: %s has not landed: %s, %v", seed, ref, state.Phase, errors.Join(err, notKnown))
			}
		}
	}
	for from, n := range living {
		if n != 1 {
			t.Errorf("seed %d: the window from %v has %d living jobs", seed, from, n)
		}
	}
	if len(living)+len(landed) != windows {
		t.Errorf("seed %d: %d windows of %d have a job that lives", seed, len(living), windows-len(landed))
	}
	t.Logf("seed %d: %d jobs for %d windows", seed, made, windows)
}
