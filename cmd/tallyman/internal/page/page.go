package page

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"time"

	"tallyman/fetch/redact"
)

// A Source tells what the page shows, with no secret in it. Its methods may be called by
// many goroutines at once.
type Source interface {
	Overview(ctx context.Context) (Overview, error)
	// Story tells in plain words what happened to an export. It fails with
	// fs.ErrNotExist if nothing is known of it.
	Story(ctx context.Context, reference string) (Story, error)
	// Exports tells of the exports of a list. It fails with a QueryError if the query is not
	// to be understood; the Places and Causes of the list are known all the same.
	Exports(ctx context.Context, q Query) (ExportList, error)
	// Coverage tells which time the exports of a place cover; with a window, of one group of
	// it and that time alone. It fails with fs.ErrNotExist if nothing is known of that.
	Coverage(ctx context.Context, place, group string, window *Window) (Coverage, error)
	// Notifications tells whom workers tell of what happens.
	Notifications(ctx context.Context) (Notifications, error)
	// Running tells what is under way.
	Running(ctx context.Context) Running
}

//go:embed page.css lists.css
var styles embed.FS

// policy lets the page load its own style and script, hear of what is under way, and send its
// own forms, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

const stylePath = "/page.css"

// Handler serves the page to those whom a Guard lets through. What they want done an Actor
// does; without one nothing can be done.
func Handler(s Source, g *Guard, by Actor) http.Handler {
	v := &views{logsIn: g.token != "", by: by}
	mux := http.NewServeMux()
	g.serveLogin(mux, v)
	if by != nil {
		(&actions{guard: g, views: v, by: by}).serve(mux)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		o, err := s.Overview(r.Context())
		if err != nil {
			v.fail(w, err)
			return
		}
		show(w, http.StatusOK, v.overview(o, s.Running(r.Context())))
	})
	mux.HandleFunc("GET /export", func(w http.ResponseWriter, r *http.Request) {
		story, err := s.Story(r.Context(), r.FormValue("ref"))
		if err != nil {
			v.fail(w, err)
			return
		}
		show(w, http.StatusOK, v.story(redact.URL(r.FormValue("ref")), story))
	})
	serveExports(mux, v, s)
	serveCoverage(mux, v, s)
	serveNotifications(mux, v, s)
	(&live{look: s.Running}).serve(mux)
	mux.HandleFunc("GET "+stylePath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		for _, name := range []string{"page.css", "lists.css"} {
			style, _ := styles.ReadFile(name)
			_, _ = w.Write(style) // to one who may be gone
		}
	})
	origins := http.NewCrossOriginProtection()
	for _, host := range g.hosts { // a proxy may change the Host that it asks for
		_ = errors.Join(origins.AddTrustedOrigin("https://"+host), origins.AddTrustedOrigin("http://"+host)) // of what is no host nothing comes
	}
	checked := g.Wrap(origins.Handler(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Referrer-Policy": "same-origin", // with no-referrer, browsers don't say of which site a form is
		} {
			w.Header().Set(name, value)
		}
		checked.ServeHTTP(w, r)
	})
}

// ago says how long ago a time was.
func ago(at *time.Time) string {
	if at == nil {
		return "never"
	}
	switch d := time.Since(*at); {
	case d < time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}

func stamp(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
