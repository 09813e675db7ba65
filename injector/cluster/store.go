package cluster

import (
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"
)

// store is a cache of objects without what nobody reads, which is most of their size.
type store struct {
	cache.Store
	synced atomic.Bool
}

func newStore() *store {
	s := &store{}
	s.Store = cache.NewStore(cache.MetaNamespaceKeyFunc, cache.WithTransformer(func(object any) (any, error) {
		if m, err := meta.Accessor(object); err == nil {
			m.SetManagedFields(nil)
		}
		return object, nil
	}))
	return s
}

// Replace is how a reflector ends its first list.
func (s *store) Replace(objects []any, version string) error {
	err := s.Store.Replace(objects, version)
	if err == nil {
		s.synced.Store(true)
	}
	return err
}
