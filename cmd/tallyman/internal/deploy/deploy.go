// Package deploy has what runs the program as a service: a unit of systemd, manifests of
// Kubernetes, and a file of docker compose. They are in the program, so that they fit it.
package deploy

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"tallyman/worker"
)

//go:embed systemd.service kubernetes.yaml compose.yaml
var files embed.FS

// Settings are what differs from one place to another. None may be a secret.
type Settings struct {
	Program string // the path of the program
	Archive string // the absolute path of the archive
	Redis   string // the URL of the queue's Redis without a password, or ""
	Image   string // of a container
}

// redisImage is the Redis of the manifests. Its digest is for those to add who know the
// registry that they trust.
const redisImage = "redis:7.4-alpine"

// UnitPath is where the unit belongs.
const UnitPath = "/etc/systemd/system/tallyman.service"

// credentials is where systemd shows its secrets to the unit.
const credentials = "/run/credentials/tallyman.service"

// ErrPath is of a path that would have to be quoted in a unit, in a way of its own for
// each line.
var ErrPath = errors.New("no unit can name a path with spaces, quotes or backslashes")

// Systemd writes the unit of a worker. It fails with ErrPath.
func Systemd(w io.Writer, s Settings) error {
	for _, text := range []*string{&s.Program, &s.Archive, &s.Redis} {
		if strings.ContainsAny(*text, " \t\n\"'\\") {
			return fmt.Errorf("%w: %s", ErrPath, *text)
		}
		*text = strings.ReplaceAll(*text, "%", "%%") // which begins a specifier
	}
	redis := "Environment=TALLYMAN_REDIS=" + s.Redis
	if s.Redis == "" {
		redis = "# Without a Redis, a schedule in the configuration file says what to fetch.\n#Environment=TALLYMAN_REDIS=redis://queue.internal:6379/0"
	}
	return write(w, "systemd.service", map[string]string{"Path": UnitPath, "Program": s.Program, "Archive": s.Archive, "Redis": redis, "Credentials": credentials})
}

// Kubernetes writes the manifests of workers and their Redis.
func Kubernetes(w io.Writer, s Settings) error {
	return write(w, "kubernetes.yaml", map[string]string{"Image": s.Image, "RedisImage": redisImage, "PendingFetches": worker.PendingFetches})
}

// Compose writes the file of docker compose, which takes its settings from .env.
func Compose(w io.Writer) error {
	text, err := files.ReadFile("compose.yaml")
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// write writes a file with values in place of its placeholders, such as {{Path}}. It fails, and
// writes nothing, if there is one without a value.
func write(w io.Writer, name string, values map[string]string) error {
	text, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	filled := regexp.MustCompile(`{{.*?}}`).ReplaceAllStringFunc(string(text), func(placeholder string) string {
		value, known := values[strings.Trim(placeholder, "{}")]
		if !known {
			err = fmt.Errorf("%s: %s has no value", name, placeholder)
		}
		return value
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, filled)
	return err
}
