package main

import (
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
)

var (
	ensureKills = flag.Int("ensure-kills", 8, "how many processes to kill that ensure windows")
	ensureSeed  = flag.Uint64("ensure-seed", 0, "of the times of the kills; 0 is another each time")
)

// A killedMonth is a log store of which two processes export the hours that lack, day by day,
// and are killed at random.
type killedMonth struct {
	*sandbox.Cloud
	t        *testing.T
	random   *rand.Rand
	archive  string
	endpoint string
	since    time.Time // the first day
	days     int

	landed map[time.Time]string // how the hours that the console has exported are held against the source's count
}

const (
	killsOfADay = 4 // and as many of its SQL
	daysOfSQL   = 5 // one day of so many has the rows of all before it counted
	killedStore = "access"
	killedPlace = "sls://cn-hangzhou/" + testProject + "/"
	allRows     = "*"
	rowsCounted = "* | select count(*) as n"
)

// Two processes ensure the windows of a month, among which are jobs that lost rows, got them
// late or have no result any more, and queries with SQL; and each is killed at random. Every
// window that lacked has one job that lives, none that landed has one, each job that was made
// has landed or is told to have failed, and no name was asked for with two configurations.
// Coverage and witness then tell each for what it is.
func TestKilledProcessesMakeOneJobForEachWindow(t *testing.T) {
	startsManyProcesses(t)
	seed := *ensureSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	m := &killedMonth{Cloud: testCloud(), t: t, random: rand.New(rand.NewPCG(seed, 0)), archive: quickDir(t), landed: map[time.Time]string{}}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.endpoint = server.URL
	m.days = (*ensureKills + killsOfADay - 1) / killsOfADay
	m.since = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -m.days)
	m.AddLogstore(testProject, sandbox.Logstore{Name: killedStore, RowsPerMinute: 1, JobFaults: map[int64]sandbox.JobFaults{}})
	for day := range m.days {
		m.export(day)
		m.ensure(day, allRows)
		if day%daysOfSQL == 0 {
			m.ensure(day, rowsCounted)
		}
	}
	m.checkJobs()
	m.checkCommands()
}

func (m *killedMonth) hour(day, hour int) time.Time {
	return m.since.AddDate(0, 0, day).Add(time.Duration(hour) * time.Hour)
}

func (m *killedMonth) command(args ...string) *process {
	p := command(m.t, append(args, "--archive", m.archive)...)
	p.Env = append(p.Env, "TALLYMAN_ENDPOINT_SLS="+m.endpoint, "TALLYMAN_ALLOW_HOST=127.0.0.1", "TALLYMAN_WITNESS_RATE=1000000")
	return p
}

// export fetches what the console has exported of a day: whole, with rows left out, before
// some were there, what is gone, and of another query. The jobs of processes have faults too.
func (m *killedMonth) export(day int) {
	m.UpdateLogstore(testProject, killedStore, func(l *sandbox.Logstore) {
		for hour, faults := range map[int]sandbox.JobFaults{3: {DropPercent: 1}, 5: {Fail: 1}, 6: {Gone: 1}, 9: {Gone: 1}, 11: {DropPercent: 1}} {
			l.JobFaults[m.hour(day, hour).Unix()] = faults
		}
	})
	args := []string{"fetch"}
	add := func(what string, hour int, query string) {
		name := "console-" + what + m.since.AddDate(0, 0, day).Format("-20060102")
		m.CreateJob(testProject, sandbox.Job{Name: name, Logstore: killedStore, FromTime: m.hour(day, hour), ToTime: m.hour(day, hour+1), Query: query, Statuses: []string{sandbox.JobSucceeded}})
		args = append(args, killedPlace+name)
	}
	add("whole", 2, "")
	add("lossy", 3, "")
	add("late", 4, "")
	add("gone", 6, "")
	add("starred", 7, "* | select *")
	m.UpdateLogstore(testProject, killedStore, func(l *sandbox.Logstore) {
		l.Late = append(l.Late, sandbox.LateRows{Time: m.hour(day, 4), Rows: 7})
	})
	m.command(args...).runs(m.t, 3)
	m.landed[m.hour(day, 2)], m.landed[m.hour(day, 3)], m.landed[m.hour(day, 4)] = "agrees", "fewer", "fewer"
}

// ensure has all hours until the end of a day exported by two processes, which are killed.
func (m *killedMonth) ensure(day int, query string) {
	args := []string{"ensure", killedPlace, "--logstore", killedStore, "--query", query, "--settle", "0s",
		"--since", m.since.Format(time.RFC3339), "--until", m.hour(day, 24).Format(time.RFC3339)}
	if day%2 == 1 {
		args = append(args, "--delete-jobs")
	}
	start := func() *process {
		p := m.command(args...)
		p.start(m.t)
		return p
	}
	processes := []*process{start(), start()}
	for killed := 0; killed < killsOfADay; {
		time.Sleep(time.Duration(m.random.IntN(400)) * time.Millisecond)
		n := m.random.IntN(len(processes))
		_ = processes[n].Process.Kill() // it may have ended
		switch code := exitOf(processes[n].Wait()); code {
		case 0:
		case -1:
			killed++
		default:
			m.t.Errorf("it ended with %d\n%s", code, &processes[n].stderr)
		}
		processes[n] = start()
	}
	for _, p := range append(processes, start()) {
		if code := exitOf(p.Wait()); code != 0 {
			m.t.Errorf("it ended with %d\n%s", code, &p.stderr)
		}
	}
}

// A jobWindow is what a job is made for.
type jobWindow struct {
	query string
	from  time.Time
}

// checkJobs holds the jobs that were made against what is in the archive.
func (m *killedMonth) checkJobs() {
	if err := sameConfigurations(m.Creations(testProject)); err != nil {
		m.t.Error(err)
	}
	store, err := archive.Open(m.archive, "", archive.SiteArchive)
	if err != nil {
		m.t.Fatal(err)
	}
	dead, here := map[string]bool{}, map[string]bool{}
	for _, job := range m.Jobs(testProject) {
		here[job.Name], dead[job.Name] = true, job.Statuses[0] == sandbox.JobFailed || job.File.Gone
	}
	living, landed, made := map[jobWindow]int{}, map[jobWindow]int{}, map[string]bool{}
	for _, c := range m.Creations(testProject) {
		if c.Refused != "" {
			continue
		}
		if made[c.Name] {
			m.t.Errorf("%s was made again, after it was deleted", c.Name)
			continue
		}
		w := jobWindow{c.Query, c.FromTime}
		made[c.Name] = true
		if here[c.Name] && !dead[c.Name] {
			living[w]++
		}
		ref, err := fetch.ParseRef(killedPlace + c.Name)
		if err != nil {
			m.t.Fatal(err)
		}
		if _, err := store.Landed(ref.Key()); err == nil {
			landed[w]++
		} else if state, _, notKnown := store.State(ref.Key()); notKnown != nil || !dead[c.Name] || state.Phase != archive.Failed {
			m.t.Errorf("%s has not landed: %s, %v", ref, state.Phase, errors.Join(err, notKnown))
		}
	}
	windows, lastCounted := 0, (m.days-1)/daysOfSQL*daysOfSQL
	for day := range m.days {
		for hour := range 24 {
			from := m.hour(day, hour)
			_, isLanded := m.landed[from]
			for query, lacked := range map[string]bool{allRows: !isLanded, rowsCounted: day <= lastCounted} {
				w, want := jobWindow{query, from}, 0
				if lacked {
					windows, want = windows+1, 1
				}
				if landed[w] != want || living[w] > want {
					m.t.Errorf("of %s the hour from %v has %d jobs that landed, and %d that live, want %d", query, from, landed[w], living[w], want)
				}
			}
		}
	}
	m.t.Logf("%d jobs for %d windows, of which %d are left", len(made), windows, len(living))
}

// checkCommands reads what coverage and witness say.
func (m *killedMonth) checkCommands() {
	p := m.command("coverage", killedPlace, "--logstore", killedStore, "--query", allRows, "--json",
		"--since", m.since.Format(time.RFC3339), "--until", m.hour(m.days, 0).Format(time.RFC3339))
	p.runs(m.t, 0)
	if said := p.stdout.String(); !strings.Contains(said, `"percent":100,`) || strings.Contains(said, "overlaps") {
		m.t.Errorf("coverage says %s", said)
	}
	p = m.command("witness", killedPlace, "--json")
	p.runs(m.t, 9)
	states := map[string]int{}
	for line := range strings.Lines(p.stdout.String()) {
		var said struct {
			Reference, State, Group string
			From                    time.Time
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			m.t.Fatal(err)
		}
		want, isConsole := m.landed[said.From]
		switch {
		case said.Group == windowGroup(killedStore, rowsCounted):
			want = "not-countable"
		case said.Group == windowGroup(killedStore, "* | select *") || !isConsole:
			want = "agrees"
			if said.From.Hour() == 11 {
				want = "fewer"
			}
		}
		got := said.State
		if got == string(archive.LateRows) || got == string(archive.WitnessMismatch) { // by how long ago the hour was
			got = "fewer"
		}
		states[got]++
		if diff := cmp.Diff(want, got); diff != "" {
			m.t.Errorf("%s (-want +got)\n%s", said.Reference, diff)
		}
	}
	m.t.Log(states)
}
