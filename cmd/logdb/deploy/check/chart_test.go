package check

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	values "sigs.k8s.io/yaml"
)

// whole sets all that can be set.
const whole = `
bucket: s3://bucket/log?region=eu-central-1
imagePullSecrets: [{name: registry}]
credentialsSecret: keys
tokensSecret: tokens
tls: {secret: tls, clientCA: true}
serviceAccount: {annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::1:role/log"}}
settings: {log-format: json, log-level: debug}
writer:
  settings: {log-level: warn, ship-interval: 100ms}
  wal: {size: 20Gi, storageClass: fast}
  nodeSelector: {disk: nvme}
  tolerations: [{key: logs, operator: Exists}]
readers:
  replicas: 3
  nodeSelector: {zone: a}
  tolerations: [{key: logs, operator: Exists}]
`

// render renders the chart with Helm's own engine and reads what comes out as
// Kubernetes does that refuses fields it does not know.
func render(t *testing.T, text string) ([]runtime.Object, error) {
	t.Helper()
	chart, err := loader.LoadDir("../helm/logdb")
	if err != nil {
		t.Fatal(err)
	}
	var set map[string]any
	if err := values.UnmarshalStrict([]byte(text), &set); err != nil {
		t.Fatal(err)
	}
	all, err := util.ToRenderValues(chart, set, common.ReleaseOptions{Name: "orders", Namespace: "logs", Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".yaml" {
			continue
		}
		documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader([]byte(files[name]))))
		for {
			document := make([]byte, 1<<20)
			n, err := documents.Read(document)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(bytes.TrimSpace(document[:n])) == 0 {
				continue
			}
			o, _, err := decoder.Decode(document[:n], nil, nil)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, document[:n])
			}
			objects = append(objects, o)
		}
	}
	return objects, nil
}

// What is rendered fits together: services find pods, selectors match labels, and what a container mounts is there.
func TestChart(t *testing.T) {
	for name, text := range map[string]string{"least": "bucket: s3://bucket/log", "whole": whole} {
		t.Run(name, func(t *testing.T) {
			objects, err := render(t, text)
			if err != nil {
				t.Fatal(err)
			}
			var pods []core.PodTemplateSpec
			var services []*core.Service
			for _, o := range objects {
				switch o := o.(type) {
				case *apps.StatefulSet:
					if *o.Spec.Replicas != 1 {
						t.Errorf("%d writers", *o.Spec.Replicas)
					}
					mounted(t, o.Spec.Template.Spec, o.Spec.VolumeClaimTemplates)
					selected(t, o.Name, o.Spec.Selector.MatchLabels, o.Spec.Template)
					pods = append(pods, o.Spec.Template)
				case *apps.Deployment:
					mounted(t, o.Spec.Template.Spec, nil)
					selected(t, o.Name, o.Spec.Selector.MatchLabels, o.Spec.Template)
					pods = append(pods, o.Spec.Template)
				case *core.Service:
					services = append(services, o)
				}
			}
			if len(pods) != 2 || len(services) != 2 {
				t.Fatalf("%d kinds of pods and %d services, want 2 and 2", len(pods), len(services))
			}
			for _, s := range services {
				found := 0
				for _, p := range pods {
					if within(s.Spec.Selector, p.Labels) {
						found++
					}
				}
				if found != 1 {
					t.Errorf("service %s finds %d kinds of pods, want 1", s.Name, found)
				}
			}
		})
	}
}

func selected(t *testing.T, name string, selector map[string]string, p core.PodTemplateSpec) {
	t.Helper()
	if !within(selector, p.Labels) {
		t.Errorf("%s selects %v, its pods have %v", name, selector, p.Labels)
	}
}

func within(few, many map[string]string) bool {
	for k, v := range few {
		if many[k] != v {
			return false
		}
	}
	return len(few) > 0
}

func mounted(t *testing.T, p core.PodSpec, claims []core.PersistentVolumeClaim) {
	t.Helper()
	there := map[string]bool{}
	for _, v := range p.Volumes {
		there[v.Name] = true
	}
	for _, c := range claims {
		there[c.Name] = true
	}
	for _, c := range p.Containers {
		for _, m := range c.VolumeMounts {
			if !there[m.Name] {
				t.Errorf("volume %s is mounted and not there", m.Name)
			}
		}
	}
}

// A setting of a role goes before one of both, and every variable is one that the command knows.
func TestChartSettings(t *testing.T) {
	known := map[string]bool{}
	for _, v := range regexp.MustCompile(`LOGDB_[A-Z0-9_]+`).FindAllString(read(t, "..", "SETTINGS.md"), -1) {
		known[v] = true
	}
	objects, err := render(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]string{}
	for _, o := range objects {
		var pod core.PodTemplateSpec
		switch o := o.(type) {
		case *apps.StatefulSet:
			pod = o.Spec.Template
		case *apps.Deployment:
			pod = o.Spec.Template
		default:
			continue
		}
		for _, e := range pod.Spec.Containers[0].Env {
			if strings.HasPrefix(e.Name, "LOGDB_") && !known[e.Name] {
				t.Errorf("%s is no setting", e.Name)
			}
			if e.Name == "LOGDB_LOG_LEVEL" {
				levels[pod.Labels["app.kubernetes.io/component"]] = e.Value
			}
		}
	}
	if levels["writer"] != "warn" || levels["reader"] != "debug" {
		t.Errorf("log levels are %v, want the writer's own and that of both for readers", levels)
	}
}

// Mistakes in values are found before anything is deployed.
func TestChartRefusesMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"{}": "bucket",
		"{bucket: 's3://b/log', settings: {ship-intervall: 1s}}": "ship-intervall",
		"{bucket: 's3://b/log', readers: {replicas: many}}":      "replicas",
		"{bucket: 's3://b/log', reader: {replicas: 2}}":          "reader",
	} {
		if _, err := render(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want one about %s", text, err, want)
		}
	}
}
