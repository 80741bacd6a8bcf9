package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"tallyman/worker"
)

// deployed is what deploy prints.
func deployed(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append([]string{"deploy"}, args...), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	return stdout.String()
}

// fits fails the test if the program does not take these arguments, or a variable.
func fits(t *testing.T, args []string) {
	t.Helper()
	root := newRoot(io.Discard)
	cmd, rest, err := root.Find(args)
	if err == nil && cmd == root {
		err = errors.New("there is no such command")
	}
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("%q: %v", args, err)
	}
}

// fitsVariables fails the test if there is no setting of a variable that a text names.
func fitsVariables(t *testing.T, text string) {
	t.Helper()
	known := allSettings()
	others := []string{"TALLYMAN_IMAGE", "TALLYMAN_VERSION", "TALLYMAN_MEMORY", "TALLYMAN_CONFIG_FILE", "TALLYMAN_ARCHIVE_DIR", "TALLYMAN_"} // of .env
	for _, name := range regexp.MustCompile(`TALLYMAN_[A-Z_]*`).FindAllString(text, -1) {
		setting := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "TALLYMAN_"), "_", "-"))
		if known[setting] == nil && !slices.Contains(others, name) {
			t.Errorf("there is no setting %s", name)
		}
	}
}

func TestTheUnitFitsTheProgram(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("REDIS_URL", "redis://tallyman:canary-of-deploy@queue.internal/0")
	unit := deployed(t, "systemd", "--archive", "/srv/archive")
	fitsVariables(t, unit)
	hidden(t, "the unit", unit, []string{"canary-of-deploy"})
	for _, line := range []string{"Type=notify", "WatchdogSec=60", "ReadWritePaths=/srv/archive", "Environment=TALLYMAN_ARCHIVE=/srv/archive", "ProtectSystem=strict", "TimeoutStopSec=60"} {
		if !strings.Contains(unit, line+"\n") {
			t.Errorf("the unit has no %s", line)
		}
	}
	start := regexp.MustCompile(`(?m)^ExecStart=(\S+) (.*)$`).FindStringSubmatch(unit)
	if start == nil || !filepath.IsAbs(start[1]) {
		t.Fatalf("it starts %q", start)
	}
	fits(t, strings.Fields(start[2]))
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not there")
	}
	file := filepath.Join(t.TempDir(), "tallyman.service")
	withSecrets := regexp.MustCompile(`(?m)^#(LoadCredential|Environment|MemoryMax)=`).ReplaceAllString(unit, "$1=")
	for _, text := range []string{unit, withSecrets} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || bytes.Contains(said, []byte("tallyman.service:")) {
			t.Errorf("systemd-analyze verify: %v\n%s", err, said)
		}
	}
}

// Each file with a secret that the comments and variables of a deployment name is one that
// the deployment gives to the worker, those of notify: too.
func TestEachSecretIsWhereTheDeploymentSays(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	unit, manifests, compose := deployed(t, "systemd"), deployed(t, "kubernetes"), deployed(t, "compose")
	example, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	var file document
	if err := yaml.Unmarshal([]byte(compose), &file); err != nil {
		t.Fatal(err)
	}
	var ofUnit, ofPod, ofContainer []string // the paths that there are; what ends in / or _ is the beginning of many
	for _, m := range regexp.MustCompile(`(?m)^#LoadCredential=([^:]+):`).FindAllStringSubmatch(unit, -1) {
		ofUnit = append(ofUnit, "/run/credentials/tallyman.service/"+m[1])
	}
	for _, m := range regexp.MustCompile(`mountPath: (/run/\S+),`).FindAllStringSubmatch(manifests, -1) {
		ofPod = append(ofPod, m[1]+"/")
	}
	for _, secret := range append(words(at(file, "services", "worker", "secrets")), words(at(file, "services", "page", "secrets"))...) {
		if at(file, "secrets", secret, "file") == nil {
			t.Errorf("compose has no file for the secret %s", secret)
		}
		ofContainer = append(ofContainer, "/run/secrets/"+secret)
	}
	named := regexp.MustCompile(`(?:-file: |-file |-file, |_FILE: |_FILE=|_FILE, value: )(/run/[a-z/_.-]*[a-z])`)
	for _, d := range []struct {
		text   string
		given  []string
		naming []string // what must be named at least
	}{
		{strings.ReplaceAll(unit, "%d/", "/run/credentials/tallyman.service/"), append(ofUnit, "/run/credentials/tallyman.service/notify_"), []string{"notify_slack", "redis-password", "alibaba", "huawei"}},
		{manifests, ofPod, []string{"notify/slack", "notify/mail", "alibaba", "huawei"}},
		{compose + string(example), ofContainer, []string{"notify_url", "notify_secret", "mail_password", "page_token", "alibaba_credentials", "huawei_credentials"}},
	} {
		var found []string
		for _, m := range named.FindAllStringSubmatch(d.text, -1) {
			found = append(found, m[1])
			if !slices.ContainsFunc(d.given, func(path string) bool {
				return path == m[1] || strings.TrimRight(path, "/_") != path && strings.HasPrefix(m[1], path)
			}) {
				t.Errorf("nothing is at %s, of %q", m[1], d.given)
			}
		}
		for _, name := range d.naming {
			if !slices.ContainsFunc(found, func(path string) bool { return strings.HasSuffix(path, "/"+name) }) {
				t.Errorf("nobody says where %s is: %q", name, found)
			}
		}
	}
}

// A document is one of a manifest.
type document map[string]any

// at is what is there at a path of keys, and of numbers in lists; nil if nothing is.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			switch m := v.(type) {
			case document:
				v = m[step]
			case map[string]any:
				v = m[step]
			default:
				return nil
			}
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

// words are a list of texts.
func words(v any) (all []string) {
	list, _ := v.([]any)
	for _, word := range list {
		s, _ := word.(string)
		all = append(all, s)
	}
	return all
}

func TestTheManifestsFitTheProgram(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	text := deployed(t, "kubernetes", "--image", "registry.internal/tallyman:1")
	fitsVariables(t, text)
	docs := map[string]document{} // by KIND/NAME
	for d := yaml.NewDecoder(strings.NewReader(text), yaml.UseOrderedMap()); ; {
		var doc document
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kind, _ := doc["kind"].(string)
		var plain document
		b, _ := yaml.Marshal(doc)
		if err := yaml.Unmarshal(b, &plain); err != nil {
			t.Fatal(err)
		}
		name, _ := at(plain, "metadata", "name").(string)
		if plain["apiVersion"] == nil || kind == "" || name == "" || plain["spec"] == nil && plain["data"] == nil {
			t.Errorf("it is no document of Kubernetes: %v", plain)
		}
		if docs[kind+"/"+name] != nil {
			t.Errorf("there are two %s/%s", kind, name)
		}
		docs[kind+"/"+name] = plain
	}
	fits(t, words(at(docs["Deployment/tallyman"], "spec", "template", "spec", "initContainers", 0, "args")))
	for _, name := range []string{"tallyman", "tallyman-page"} {
		deployment, container := docs["Deployment/"+name], at(docs["Deployment/"+name], "spec", "template", "spec", "containers", 0)
		fits(t, words(at(container, "args")))
		if at(container, "image") != "registry.internal/tallyman:1" || at(container, "securityContext", "readOnlyRootFilesystem") != true {
			t.Errorf("%s: %v", name, container)
		}
		label := at(deployment, "spec", "template", "metadata", "labels", "app.kubernetes.io/name")
		for of, selector := range map[string]any{
			"the deployment": at(deployment, "spec", "selector", "matchLabels"), "the service": at(docs["Service/"+name], "spec", "selector"), "the policy": at(docs["NetworkPolicy/"+name], "spec", "podSelector", "matchLabels"),
		} {
			if got := at(selector, "app.kubernetes.io/name"); got != label {
				t.Errorf("%s selects %v, and the label is %v", of, got, label)
			}
		}
		port := at(container, "ports", 0, "name")
		if served, let := at(docs["Service/"+name], "spec", "ports", 0, "targetPort"), at(docs["NetworkPolicy/"+name], "spec", "ingress", 0, "ports", 0, "port"); served != port || let != port {
			t.Errorf("%s listens at %v, the service is of %v, and %v is let in", name, port, served, let)
		}
		for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
			if path := at(container, probe, "httpGet", "path"); path != "/livez" && path != "/readyz" {
				t.Errorf("the %s of %s asks %v", probe, name, path)
			}
		}
		claim, _ := at(deployment, "spec", "template", "spec", "volumes", 0, "persistentVolumeClaim", "claimName").(string)
		if modes := words(at(docs["PersistentVolumeClaim/"+claim], "spec", "accessModes")); !slices.Equal(modes, []string{"ReadWriteMany"}) {
			t.Errorf("the claim %q is not there, or is of one node: %q", claim, modes)
		}
	}
	var out []any // the ports that a worker reaches anywhere
	rules, _ := at(docs["NetworkPolicy/tallyman"], "spec", "egress").([]any)
	for _, rule := range rules {
		if at(rule, "to", 0, "ipBlock", "cidr") == "0.0.0.0/0" {
			for i := 0; at(rule, "ports", i) != nil; i++ {
				out = append(out, at(rule, "ports", i, "port"))
			}
		}
	}
	if diff := cmp.Diff([]any{uint64(443), uint64(465), uint64(587)}, out); diff != "" { // of services, chats and webhooks, and of mail
		t.Errorf("a worker does not reach whom it is to ask or to tell:\n%s", diff)
	}
	scaler := docs["ScaledObject/tallyman"]
	if list := at(scaler, "spec", "triggers", 0, "metadata", "listName"); list != worker.PendingFetches || at(scaler, "spec", "minReplicaCount") != uint64(1) {
		t.Errorf("the scaler counts %v, from %v workers", list, at(scaler, "spec", "minReplicaCount"))
	}
}

func TestTheComposeFileFitsTheProgram(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	text := deployed(t, "compose")
	root, err := os.ReadFile("../../docker-compose.yml")
	if err != nil || string(root) != text {
		t.Errorf("it is not docker-compose.yml of the source tree: %v", err)
	}
	fitsVariables(t, text)
	var file document
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"init", "worker", "page", "metrics"} {
		fits(t, words(at(file, "services", name, "command")))
	}
	services, _ := at(file, "services").(map[string]any)
	for name, service := range services {
		if at(service, "logging") == nil || at(service, "cap_drop", 0) != "ALL" || at(service, "mem_limit") == nil || at(service, "pids_limit") == nil {
			t.Errorf("%s lacks a limit: %v", name, service)
		}
	}
	if test := words(at(file, "services", "redis", "healthcheck", "test")); !strings.Contains(strings.Join(test, " "), "PONG") {
		t.Errorf("Redis is taken for healthy by %q", test)
	}
	health := words(at(file, "services", "worker", "healthcheck", "test"))
	if len(health) < 3 || health[1] != "/tallyman" {
		t.Fatalf("the worker is taken for healthy by %q", health)
	}
	fits(t, health[2:])
	example, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\$\{([A-Z_]+):`).FindAllStringSubmatch(text, -1) {
		if !bytes.Contains(example, []byte(m[1]+"=")) {
			t.Errorf(".env.example has no %s", m[1])
		}
	}
}
