package main

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"tallyman/fetch/fetchtest"
)

// startRedis starts a Redis that outlives being killed by no more than its last
// second.
func startRedis(t *testing.T) *fetchtest.Redis {
	t.Helper()
	return fetchtest.StartRedis(t, appendOnly...)
}

var appendOnly = []string{"--appendonly", "yes", "--appendfsync", "everysec"}

// restart starts a Redis again that was killed.
func restart(t *testing.T, r *fetchtest.Redis) {
	t.Helper()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
}

// redises are those of the scripts that run, by the directory of each.
var redises sync.Map

// redisCommand drives the Redis of a script:
//
//	redis start                sets REDIS_URL, and REDIS_HOST to its host and port
//	redis stop, redis again    as a crash, and what comes after it
//	redis flush                it forgets all
//	redis say COMMAND...       which is to be done
//	redis password PASSWORD    that it wants from now on
//	redis memory FILE          writes all that it holds, and was told, to a file
func redisCommand(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "start" {
		startScriptRedis(ts)
		return
	}
	stored, _ := redises.Load(ts.Getenv("WORK"))
	r := stored.(*fetchtest.Redis)
	switch args[0] {
	case "stop":
		r.Kill()
	case "again":
		ts.Check(r.Start())
	case "flush":
		ts.Check(r.Must("FLUSHALL"))
	case "say":
		ts.Check(r.Must(strings.Join(args[1:], " ")))
	case "password":
		ts.Check(r.Must("CONFIG SET requirepass " + args[1]))
		r.Password = args[1]
	case "memory":
		all, err := r.Memory()
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(all), 0o644))
	default:
		ts.Fatalf("redis %s: no such thing", args[0])
	}
}

func startScriptRedis(ts *testscript.TestScript) {
	dir := ts.MkAbs("redis")
	ts.Check(os.Mkdir(dir, 0o755))
	r, err := fetchtest.NewRedis(dir, appendOnly...)
	ts.Check(err)
	ts.Defer(r.Close)
	ts.Check(r.Start())
	redises.Store(ts.Getenv("WORK"), r)
	ts.Setenv("REDIS_URL", r.URL)
	ts.Setenv("REDIS_HOST", strings.TrimPrefix(r.URL, "redis://"))
}
