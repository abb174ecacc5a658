package postgres

import "context"

// Groups returns how many groups are under way, and how many batches wait for one.
func (s *Store) Groups() (carried, waiting int) {
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	return s.groups.carried, len(s.groups.waiting)
}

// LockTimeouts returns the lock_timeout of every idle session of the pool.
func (s *Store) LockTimeouts(ctx context.Context) ([]string, error) {
	var all []string
	for _, conn := range s.pool.AcquireAllIdle(ctx) {
		defer conn.Release()
		var one string
		if err := conn.QueryRow(ctx, "SHOW lock_timeout").Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}
