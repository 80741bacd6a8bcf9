// Command manifests holds what 'tallyman deploy' prints against the types of Kubernetes and
// the library of docker compose: each field is one that these have, and of its kind. It is a
// module of its own, so that nobody else needs its libraries.
//
//	manifests kubernetes FILE
//	manifests compose FILE
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

func main() {
	checks := map[string]func([]byte) error{"kubernetes": kubernetes, "compose": compose}
	if len(os.Args) != 3 || checks[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "want: manifests kubernetes|compose FILE")
		os.Exit(2)
	}
	text, err := os.ReadFile(os.Args[2])
	if err == nil {
		err = checks[os.Args[1]](text)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	fmt.Println(os.Args[1] + ": ok")
}

// kinds are the types of the documents, by apiVersion and kind.
var kinds = map[string]func() any{
	"v1 PersistentVolumeClaim":               func() any { return &corev1.PersistentVolumeClaim{} },
	"v1 ConfigMap":                           func() any { return &corev1.ConfigMap{} },
	"v1 Service":                             func() any { return &corev1.Service{} },
	"v1 Secret":                              func() any { return &corev1.Secret{} },
	"apps/v1 StatefulSet":                    func() any { return &appsv1.StatefulSet{} },
	"apps/v1 Deployment":                     func() any { return &appsv1.Deployment{} },
	"networking.k8s.io/v1 NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
	"keda.sh/v1alpha1 TriggerAuthentication": func() any { return &triggerAuthentication{} },
	"keda.sh/v1alpha1 ScaledObject":          func() any { return &scaledObject{} },
}

// What is used of KEDA's types, which its module has together with all of Kubernetes.
type (
	named struct {
		Name string `json:"name"`
	}
	triggerAuthentication struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			SecretTargetRef []struct {
				Parameter string `json:"parameter"`
				Name      string `json:"name"`
				Key       string `json:"key"`
			} `json:"secretTargetRef"`
		} `json:"spec"`
	}
	scaledObject struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			ScaleTargetRef  named  `json:"scaleTargetRef"`
			MinReplicaCount *int32 `json:"minReplicaCount"`
			MaxReplicaCount *int32 `json:"maxReplicaCount"`
			CooldownPeriod  *int32 `json:"cooldownPeriod"`
			Triggers        []struct {
				Type              string            `json:"type"`
				Metadata          map[string]string `json:"metadata"` // all of it as texts
				AuthenticationRef named             `json:"authenticationRef"`
			} `json:"triggers"`
		} `json:"spec"`
	}
)

func kubernetes(text []byte) (err error) {
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for n := 1; ; n++ {
		document, readErr := documents.Read()
		if errors.Is(readErr, io.EOF) {
			return err
		}
		if readErr != nil {
			return readErr
		}
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if wrong := strict.Unmarshal(document, &head); wrong != nil {
			return wrong
		}
		name := head.APIVersion + " " + head.Kind
		into := kinds[name]
		if into == nil {
			err = errors.Join(err, fmt.Errorf("document %d: %s is of no kind that is known here", n, name))
			continue
		}
		if wrong := decode(document, into()); wrong != nil {
			err = errors.Join(err, fmt.Errorf("document %d, %s: %w", n, name, wrong))
		}
	}
}

// decode decodes YAML as the server of Kubernetes does, which turns no number into a text.
func decode(document []byte, into any) error {
	text, err := strict.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func compose(text []byte) error {
	dir, err := os.MkdirTemp("", "compose")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	details := types.ConfigDetails{WorkingDir: dir, ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: text}}, Environment: types.Mapping{}}
	for _, profiles := range [][]string{nil, {"metrics"}} {
		project, err := loader.LoadWithContext(context.Background(), details, loader.WithProfiles(profiles))
		if err != nil {
			return err
		}
		for name, service := range project.Services {
			if service.Image == "" {
				return fmt.Errorf("%s has no image", name)
			}
		}
	}
	return nil
}
