package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A listed package is one as go list tells of it.
type listedPackage struct {
	ImportPath    string
	Standard      bool
	Imports, Deps []string
}

const module = "tallyman"

// list is all packages of the module and what they need, by import path.
func list(t *testing.T) map[string]listedPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", module+"/...")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]listedPackage{}
	for d := json.NewDecoder(out); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
	if err := cmd.Wait(); err != nil || len(packages) < 10 {
		t.Fatalf("go list: %d packages, %v", len(packages), err)
	}
	return packages
}

// below reports whether a package is one of these, or in a directory of one.
func below(path string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") })
}

// providers are the packages below fetch that know a service, a store or a
// whole cloud.
var providers = []string{
	module + "/fetch/dbs", module + "/fetch/dis", module + "/fetch/dms", module + "/fetch/fetchtest", module + "/fetch/obs",
	module + "/fetch/oss", module + "/fetch/sandbox", module + "/fetch/sls", module + "/fetch/web",
}

// decoding are the packages that turn bytes into content.
var decoding = []string{
	module + "/fetch/internal/decode", module + "/fetch/internal/filename", module + "/fetch/internal/memory", module + "/fetch/internal/unpack",
}

func isProvider(path string) bool { return below(path, providers...) }

func TestImportsRunInOneLine(t *testing.T) {
	packages := list(t)
	for _, rule := range []struct {
		of    string
		bound func(path string) bool // the packages that the rule is for
		never func(dep listedPackage) bool
	}{
		{"verify imports the standard library alone", exactly("verify"),
			func(dep listedPackage) bool { return !dep.Standard }},
		{"redact and hostguard import the standard library alone",
			func(path string) bool {
				return below(path, module+"/fetch/redact", module+"/fetch/hostguard")
			},
			func(dep listedPackage) bool { return !dep.Standard }},
		{"the archive imports verify, locks and a group of goroutines", exactly("verify/archive"),
			func(dep listedPackage) bool {
				return !dep.Standard && !below(dep.ImportPath, module+"/verify", "github.com/gofrs/flock", "golang.org/x/sync/errgroup", "golang.org/x/sys")
			}},
		{"the ledger imports verify, locks and what makes files durable", exactly("verify/archive/ledger"),
			func(dep listedPackage) bool {
				return !dep.Standard && dep.ImportPath != module+"/verify" && !below(dep.ImportPath, module+"/verify/archive/ledger", module+"/verify/archive/internal/durable", "github.com/gofrs/flock", "golang.org/x/sys")
			}},
		{"what decodes knows no archive and no network",
			func(path string) bool { return below(path, decoding...) },
			func(dep listedPackage) bool {
				return below(dep.ImportPath, module) && !below(dep.ImportPath, decoding...) && dep.ImportPath != module+"/verify" || dep.ImportPath == "net/http"
			}},
		{"fetch knows no provider", exactly("fetch"),
			func(dep listedPackage) bool { return isProvider(dep.ImportPath) }},
		{"fetch and its providers know no queue, and nothing above them",
			func(path string) bool { return below(path, module+"/fetch") },
			func(dep listedPackage) bool {
				return below(dep.ImportPath, module+"/worker", module+"/cmd", "github.com/hibiken/asynq", "github.com/redis/go-redis")
			}},
		{"the sandbox, which checks signatures, shares no code with the clients that sign",
			func(path string) bool { return below(path, module+"/fetch/sandbox") },
			func(dep listedPackage) bool {
				return below(dep.ImportPath, module) && !below(dep.ImportPath, module+"/fetch/sandbox")
			}},
		{"the worker knows no provider", exactly("worker"),
			func(dep listedPackage) bool {
				return isProvider(dep.ImportPath) || below(dep.ImportPath, module+"/cmd")
			}},
	} {
		bound := 0
		for path, p := range packages {
			if !rule.bound(path) {
				continue
			}
			bound++
			for _, dep := range p.Deps {
				if rule.never(packages[dep]) {
					t.Errorf("%s: %s needs %s", rule.of, path, dep)
				}
			}
		}
		if bound == 0 {
			t.Errorf("%s: there is no such package", rule.of)
		}
	}
}

func exactly(path string) func(string) bool {
	return func(p string) bool { return p == module+"/"+path }
}

// Each of these is for one package to know, or for those below it. Templates are for none:
// they call methods by names that they read, and once anything does that, the linker keeps
// every exported method of all libraries, a quarter of the program. .ci/run looks whether
// that was linked.
func TestOnePackageImportsEachSDK(t *testing.T) {
	only := map[string]string{
		"github.com/alibabacloud-go":                    module + "/fetch/internal/acs",
		"github.com/aliyun/aliyun-oss-go-sdk":           module + "/fetch/oss",
		"github.com/aliyun/credentials-go":              module + "/fetch/internal/acs",
		"github.com/goccy/go-yaml":                      module + "/cmd/tallyman",
		"github.com/gofrs/flock":                        module + "/verify/archive",
		"github.com/huaweicloud/huaweicloud-sdk-go-obs": module + "/fetch/obs",
		"github.com/klauspost/compress":                 module + "/fetch",
		"github.com/prometheus":                         module + "/cmd/tallyman/internal/metrics",
		"github.com/spf13/cobra":                        module + "/cmd/tallyman",
		"github.com/vbauerster/mpb":                     module + "/cmd/tallyman",
		"github.com/wneessen/go-mail":                   module + "/cmd/tallyman/internal/notify",
		"html/template":                                 "no package",
		"text/template":                                 "no package",
		"maragu.dev/gomponents":                         module + "/cmd/tallyman/internal/page",
		"gopkg.in/ini.v1":                               module + "/fetch/internal/huawei",
	}
	for path, p := range list(t) {
		if !below(path, module) {
			continue
		}
		for _, imported := range p.Imports {
			for sdk, owner := range only {
				if below(imported, sdk) && !below(path, owner) {
					t.Errorf("%s imports %s, which is for %s", path, imported, owner)
				}
			}
		}
	}
}

// stores are providers that others read their files through.
var stores = []string{module + "/fetch/web", module + "/fetch/oss", module + "/fetch/obs"}

func TestOnlyTheCommandKnowsSeveralProviders(t *testing.T) {
	for path, p := range list(t) {
		known := slices.DeleteFunc(slices.Clone(p.Imports), func(dep string) bool { return !isProvider(dep) || below(dep, path) || below(dep, stores...) })
		if len(known) > 1 && path != module+"/cmd/tallyman" {
			t.Errorf("%s imports %q", path, known)
		}
	}
}
