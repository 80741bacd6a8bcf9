package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// What is wrong with the call is exit 2, and makes no archive. The script usage
// has the same of real processes.
func TestAWrongCallIsExit2(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ args, stderr string }{
		{"fecth sls://r/p/j", `unknown command "fecth" for "tallyman": did you mean fetch\?$`},
		{"help fecth", `unknown command "fecth" for "tallyman": did you mean fetch\?$`},
		{"completion basch", `unknown command "basch" for "tallyman completion": did you mean bash\?$`},
		{"help completion basch", `unknown command "basch" for "tallyman completion": did you mean bash\?$`},
		{"--nosuch", "^See 'tallyman --help'$"},
		{"fetch --archivee a sls://r/p/j", `unknown flag: --archivee: did you mean --archive\?$`},
		{"fetch --redis redis://h sls://r/p/j", `unknown flag: --redis \(it is one of .*worker`},
		{"demo argument", `^tallyman: 'tallyman demo' takes no arguments, and "argument" is one$`},
		{"discover", `^tallyman: Which place\? Such as: tallyman discover sls://cn-hangzhou/ali-test-project/$`},
		{"init a b", "takes one directory, not 2$"},
		{"sandbox argument", ""},
		{"serve --listen 8410", "must be HOST:PORT, such as 127.0.0.1:8410$"},
		{"serve --archive a --listen 127.0.0.1:8410", "there is no archive$"},
		{"health --listen 8410", "must be HOST:PORT"},
		// References that can't be read,
		{"fetch ftp://host/file", "want SCHEME://"},
		{"fetch sls://cn-hangzhou/project", "want sls://REGION/PROJECT/JOB"},
		{"fetch sls://cn-hangzhou/project/job/more", ""},
		{"fetch sls://cn-hangzhou//job", ""},
		{"fetch sls://cn-hangzhou/project/..", ""},
		{"fetch https://", ""},
		{"fetch https://host/file#md5=123", ""},
		{"fetch https://host/file#crc64=x", ""},
		{"fetch https://host/file#size=-1", ""},
		{"fetch https://host/file#records=many", ""},
		{"fetch https://host/file#size=1&size=2", ""},
		{"fetch https://host/file#sha1=1", "unknown promise #sha1"},
		// or that name a place and no export.
		{"fetch dbs://cn-hangzhou/instance/", ""},
		// Two that promise different things of one export contradict each other.
		{"fetch https://host/file#size=1 https://host/file#size=2", "are one export"},
		// Flags with values that can't be.
		{"fetch sls://r/p/j --part-size 65535", ""},
		{"fetch sls://r/p/j --part-size 4PiB", "KB, MB, GB, TB, KiB, MiB, GiB or TiB"},
		{"fetch sls://r/p/j --part-size -1MiB", ""},
		{"fetch sls://r/p/j --part-size 9999999999GiB", ""},
		{"fetch sls://r/p/j --wait soon", "must be a duration like"},
		{"fetch sls://r/p/j --wait -1s", ""},
		{"fetch sls://r/p/j --wait 1d2w", ""},
		{"fetch sls://r/p/j --wait 99999w", ""},
		{"fetch sls://r/p/j --wait=", ""},
		{"fetch sls://r/p/j --poll 0", "must be more than 0"},
		{"fetch sls://r/p/j --parallel 0", ""},
		{"fetch sls://r/p/j --parallel many", ""},
		{"fetch sls://r/p/j --attempts -1", ""},
		{"fetch sls://r/p/j --network private", ""},
		{"fetch sls://r/p/j --api-rate many", ""},
		{"fetch sls://r/p/j --api-rate -1", ""},
		{"fetch sls://r/p/j --api-rate NaN", ""},
		{"fetch sls://r/p/j --api-rate Inf", ""},
		{"fetch sls://r/p/j --limit-rate 1023", "must be at least 1KiB, or 0 for no limit"},
		{"fetch sls://r/p/j --limit-rate fast", ""},
		{"fetch sls://r/p/j --keep everything", ""},
		{"fetch sls://r/p/j --endpoint http://127.0.0.1", "must be PROVIDER=URL"},
		{"fetch sls://r/p/j --endpoint s3=http://127.0.0.1", ""},
		{"fetch sls://r/p/j --endpoint sls=127.0.0.1:80", "must be sls=URL, with an address like http://127.0.0.1:8080 for URL"},
		{"fetch sls://r/p/j --endpoint sls=http://127.0.0.1/path", ""},
		{"fetch sls://r/p/j --endpoint sls=http://user:canary@127.0.0.1", ""},
		{"fetch sls://r/p/j --allow-host http://127.0.0.1:80", "must be HOST or HOST:PORT"},
		{"fetch sls://r/p/j --allow-host one.example,,", ""},
		{"fetch sls://r/p/j --archive ", ""},
		{"fetch -f no-such-file", ""},
		{"verify --part 8/7", "must be K/N, like 1/7"},
		{"verify --part 0/7", ""},
		{"verify --part seven", ""},
		{"verify download-123", ""},
	} {
		t.Run(c.args, func(t *testing.T) { isWrong(t, strings.Split(c.args, " "), c.stderr) })
	}
}

// What is wrong with the configuration is exit 2, and where, even of settings for
// others. The script config has the same of real processes.
func TestAWrongConfigurationIsExit2(t *testing.T) {
	for _, c := range []struct{ name, content, stderr string }{
		{"types", "parallel: many\n", "^tallyman: c.yaml:1:11: must be a number$"},
		{"value", "json: false\n\npart-size: 4 megabytes\n", "^tallyman: c.yaml:3:12: part-size: must be a number of bytes,"},
		{"boolean", "json: \"yes\"\n", "^tallyman: c.yaml:1:7: must be true or false$"},
		{"text", "archive: 2026\n", "^tallyman: c.yaml:1:10: must be text"},
		{"null", "archive:\njson: true\n", "^tallyman: c.yaml:1:9: must be text"},
		{"list", "- json\n", "^tallyman: c.yaml:1:1: must be KEY: VALUE$"},
		{"twice", "json: true\njson: false\n", "^tallyman: c.yaml:2:1: "},
		{"alias", "archive: &a here\nnetwork: *a\n", "^tallyman: c.yaml:1:10: must be text"},
		{"documents", "json: true\n---\njson: false\n", "^tallyman: c.yaml:3:1: the file must be one document$"},
		{"provider", "endpoint: {s3: http://127.0.0.1}\n", "^tallyman: c.yaml:1:16: endpoint: must be PROVIDER=URL"},
		{"password", "endpoint: {sls: \"http://user:canary@127.0.0.1\"}\n", "^tallyman: c.yaml:1:17: endpoint: must be sls=URL"},
		{"file", "file: references\n", "file: there is no such setting"},
		{"nested", "places:\n- {match: \"sls://r/p/\", SecurityToken: canary}\n", "^tallyman: c.yaml:2:25: SecurityToken: a secret must not be in this file"},
		{"place glob", "places:\n- {match: \"sls://[\", profile: a}\n", "^tallyman: c.yaml:2:4: match: syntax error in pattern$"},
		{"place endpoint", "places:\n- {match: \"sls://r/\", endpoint: {nowhere: \"https://a\"}}\n", "^tallyman: c.yaml:2:43: endpoint: must be PROVIDER=URL"},
		{"place scheme", "places: [{match: cn-hangzhou/team-a/, profile: team-a}]\n", "^tallyman: c.yaml:1:11: must have a match like sls://"},
		{"place key", "places:\n- {match: \"sls://r/p/\", role: team-a}\n", "^tallyman: c.yaml:2:25: role: there is no such setting of a place"},
		{"place mach", "places:\n- {mach: \"sls://r/p/\", profile: a}\n", `^tallyman: c.yaml:2:4: mach: there is no such setting of a place, only .*: did you mean match\?$`},
		{"place half", "places: [{match: \"sls://r/p/\"}]\n", ""},
		{"place twice", "places:\n- {match: \"sls://r/p/\", profile: a}\n- {match: \"sls://r/p/\", profile: b}\n", "^tallyman: c.yaml:3:4: sls://r/p/ has a profile already"},
		{"place witness", "places:\n- {match: \"oss://bucket/\", witness: true}\n", "^tallyman: c.yaml:2:4: witness: oss has no count of its own$"},
		{"place text", "places: team-a\n", "must be a list of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("c.yaml", []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			isWrong(t, []string{"verify", "--config", "c.yaml"}, c.stderr)
		})
	}
}

// isWrong runs the program in this process and in this directory. Its stderr must
// match a pattern and quote no password, which is canary.
func isWrong(t *testing.T, args []string, pattern string) {
	t.Helper()
	for name, value := range environment(t.TempDir()) {
		t.Setenv(name, value)
	}
	t.Setenv("TALLYMAN_ENDPOINT_SLS", "http://127.0.0.1:1")
	t.Setenv("TALLYMAN_ATTEMPTS", "1")
	var stdout, stderr bytes.Buffer
	if code := run(args, &stdout, &stderr); code != 2 || stdout.Len() > 0 {
		t.Errorf("exit code %d, want 2, with %q on stdout", code, &stdout)
	}
	if said := stderr.String(); !regexp.MustCompile("(?m)"+pattern).MatchString(said) || !strings.HasPrefix(said, "tallyman: ") || strings.Contains(said, "canary") {
		t.Errorf("got %q, want a match of %q", said, pattern)
	}
	if _, err := os.Lstat("archive"); err == nil {
		t.Error("there is an archive")
	}
}
