package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"irsa-sidecar/injector/cluster"
	"irsa-sidecar/injector/policy"
	"irsa-sidecar/injector/webhook"
)

// BenchmarkAdmission measures one admission over TLS on loopback, as the API server sees it, in
// a cluster with few service accounts and with many. The handler that it is compared with reads
// the request and allows everything.
func BenchmarkAdmission(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		measure(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var review struct{ Request struct{ UID string } }
			if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			fmt.Fprintf(w, `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": %q, "allowed": true}}`, review.Request.UID)
		}), `"allowed": true`)
	})
	for _, accounts := range []int{1, 3000} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			log := slog.New(slog.DiscardHandler)
			p, err := policy.LoadDirectory("../deploy/inject", policy.Settings{"image": "registry.example.com/irsa-sidecar:v1", "region": "eu-west-1"})
			if err != nil {
				b.Fatal(err)
			}
			measure(b, webhook.Handler(p, known(b, accounts), webhook.NewMetrics(prometheus.NewRegistry()), log), `"patch":`)
		})
	}
}

// measure sends the same review again and again over one connection.
func measure(b *testing.B, handler http.Handler, want string) {
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true // as the API server's client
	server.StartTLS()
	b.Cleanup(server.Close)
	var times []time.Duration
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		start := time.Now()
		response, err := server.Client().Post(server.URL+"/inject", "application/json", strings.NewReader(admission))
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !bytes.Contains(body, []byte(want)) {
			b.Fatalf("%v: %s", err, body)
		}
		times = append(times, time.Since(start))
	}
	// On a busy machine the time that passes says little.
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(len(times)), "CPU-µs")
	slices.SortFunc(times, cmp.Compare[time.Duration])
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

// cpu returns the CPU time that this process has used.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// known returns the objects of a cluster with n service accounts in the namespace shop.
func known(b *testing.B, n int) *cluster.Objects {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Get("sendInitialEvents") == "true":
			w.WriteHeader(http.StatusUnprocessableEntity) // then it lists
			fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422}`)
		case r.URL.Query().Get("watch") != "":
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/namespaces"):
			fmt.Fprint(w, `{"kind": "NamespaceList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "shop", "labels": {"kubernetes.io/metadata.name": "shop"}}}]}`)
		default:
			list := corev1.ServiceAccountList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccountList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
			for i := range n {
				list.Items = append(list.Items, corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
					Name: fmt.Sprintf("account-%d", i), Namespace: "shop",
					Annotations: map[string]string{"eks.amazonaws.com/role-arn": fmt.Sprintf("arn:aws:iam::111122223333:role/example-%d", i)},
				}})
			}
			json.NewEncoder(w).Encode(list)
		}
	}))
	client, err := cluster.Client(&rest.Config{Host: server.URL}, "")
	if err != nil {
		b.Fatal(err)
	}
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // it would say that the watches have ended
	objects, done := cluster.NewObjects(client, slog.New(slog.DiscardHandler)), make(chan error)
	go func() { done <- objects.Run(b.Context()) }()
	b.Cleanup(func() {
		server.CloseClientConnections()
		<-done
		server.Close()
	})
	for deadline := time.Now().Add(30 * time.Second); !objects.Synced(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("not synced")
		}
	}
	if objects.Accounts() != n {
		b.Fatalf("%d accounts, want %d", objects.Accounts(), n)
	}
	return objects
}

// A review as the API server sends it for a pod of a Deployment.
const admission = `{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
	"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": {"group": "", "version": "v1", "kind": "Pod"},
	"resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "shop", "operation": "CREATE",
	"userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["system:serviceaccounts", "system:authenticated"]},
	"object": {"kind": "Pod", "apiVersion": "v1",
		"metadata": {"generateName": "cart-5d8f-", "labels": {"app": "cart", "irsa-sidecar/inject": "true", "pod-template-hash": "5d8f"},
			"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-5d8f", "uid": "a", "controller": true, "blockOwnerDeletion": true}]},
		"spec": {"serviceAccountName": "account-0", "serviceAccount": "account-0", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
			"securityContext": {"runAsNonRoot": true}, "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true,
			"volumes": [{"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}], "defaultMode": 420}}],
			"containers": [{"name": "app", "image": "registry.example.com/cart:v1", "ports": [{"containerPort": 8080, "protocol": "TCP"}],
				"env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "AWS_REGION", "value": "eu-west-1"}],
				"resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
				"livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
				"volumeMounts": [{"name": "kube-api-access-x", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
				"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent"}]}},
	"dryRun": false}}`
