package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// api is an API server with the service account "old", which is in its lists, and "new",
// which is not yet.
func api(t *testing.T, gets *atomic.Int64, streams bool) *httptest.Server {
	account := func(name string) corev1.ServiceAccount {
		return corev1.ServiceAccount{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}},
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Get("sendInitialEvents") == "true" && streams:
			kind, item := "Namespace", `"metadata": {"name": "shop", "resourceVersion": "1"}`
			if r.URL.Path == "/api/v1/serviceaccounts" {
				kind, item = "ServiceAccount", `"metadata": {"name": "old", "namespace": "shop", "resourceVersion": "1", "managedFields": [{"manager": "kubectl"}]}`
			}
			fmt.Fprintf(w, `{"type": "ADDED", "object": {"apiVersion": "v1", "kind": %q, %s}}`+"\n", kind, item)
			fmt.Fprintf(w, `{"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": %q, "metadata": {"resourceVersion": "2", "annotations": {"k8s.io/initial-events-end": "true"}}}}`+"\n", kind)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case r.URL.Query().Get("sendInitialEvents") == "true": // as versions that do not know it
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422}`)
		case r.URL.Query().Get("watch") != "":
			<-r.Context().Done()
		case r.URL.Path == "/api/v1/serviceaccounts":
			json.NewEncoder(w).Encode(corev1.ServiceAccountList{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccountList"},
				ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []corev1.ServiceAccount{account("old")},
			})
		case r.URL.Path == "/api/v1/namespaces":
			fmt.Fprint(w, `{"kind": "NamespaceList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "shop"}}]}`)
		case r.URL.Path == "/api/v1/namespaces/shop/serviceaccounts/new":
			gets.Add(1)
			json.NewEncoder(w).Encode(account("new"))
		case strings.HasSuffix(r.URL.Path, "/slow"):
			<-r.Context().Done()
		default:
			gets.Add(1)
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "message": "not found", "code": 404}`)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// What is known is not asked for, and what is not is.
func TestObjects(t *testing.T) {
	for _, streams := range []bool{false, true} {
		t.Run(fmt.Sprintf("streams=%t", streams), func(t *testing.T) { testObjects(t, streams) })
	}
}

func testObjects(t *testing.T, streams bool) {
	var gets atomic.Int64
	server := api(t, &gets, streams)
	client, err := Client(&rest.Config{Host: server.URL}, "")
	if err != nil {
		t.Fatal(err)
	}
	o := NewObjects(client, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- o.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for deadline := time.Now().Add(30 * time.Second); !o.Synced(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not synced")
		}
	}
	if o.Accounts() != 1 {
		t.Errorf("%d accounts", o.Accounts())
	}
	old, err := o.ServiceAccount(ctx, "shop", "old")
	if err != nil || old.Name != "old" || old.ManagedFields != nil {
		t.Errorf("%+v, %v", old, err)
	}
	if n, err := o.Namespace(ctx, "shop"); err != nil || n.Name != "shop" {
		t.Errorf("%+v, %v", n, err)
	}
	if gets.Load() != 0 {
		t.Error("the API server was asked for what is known")
	}
	if a, err := o.ServiceAccount(ctx, "shop", "new"); err != nil || a.Name != "new" || gets.Load() != 1 {
		t.Errorf("%+v, %v, asked %d times", a, err, gets.Load())
	}
	if _, err := o.ServiceAccount(ctx, "shop", "none"); !apierrors.IsNotFound(err) {
		t.Errorf("error %v", err)
	}
	limited, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if _, err := o.ServiceAccount(limited, "shop", "slow"); err == nil || !strings.HasPrefix(err.Error(), "the API server: ") {
		t.Errorf("error %v", err)
	}
}
