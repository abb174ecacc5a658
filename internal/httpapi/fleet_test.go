package httpapi

import (
	"context"
	"net/http"
	"testing"
	"time"

	"tenet/internal/check"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// aFleet is the example's, and fails as the store does.
type aFleet struct{ *faulty }

func (f aFleet) known(id string) error {
	if err := f.fault(); err != nil {
		return err
	}
	if id != exampleStanding().Repository {
		return &store.NotFoundError{Key: knowledge.Key{Kind: knowledge.KindRepository, ID: id}}
	}
	return nil
}

func (f aFleet) CheckIn(_ context.Context, _ store.Reader, c store.CheckIn) (*store.Standing, error) {
	s := &store.Standing{}
	s.Take(&c)
	s.Judge(time.Now())
	return s, f.known(c.Repository)
}

func (f aFleet) Page(_ context.Context, q store.FleetQuery) ([]store.Standing, error) {
	list := []store.Standing{
		{CheckIn: store.CheckIn{Repository: "acme.pay"}},
		{CheckIn: store.CheckIn{Repository: "acme.web"}},
	}
	for i := range list {
		list[i].Judge(time.Now())
	}
	return list[:min(q.Limit, 2)], f.fault()
}

func (f aFleet) Counts() ([]store.FleetCount, knowledge.Time) { return nil, knowledge.Time{} }

func (f aFleet) News(_ context.Context, _ store.Past, id string) (*store.FleetNews, error) {
	n := &store.FleetNews{Moves: []store.FleetMove{}}
	n.Judge(time.Now())
	return n, f.known(id)
}

// someEffects are the example's, and fail as the store does.
type someEffects struct{ *faulty }

func (e someEffects) Page(_ context.Context, q store.EffectQuery) ([]store.Effect, error) {
	list := exampleEffects().Documents
	return list[:min(q.Limit, len(list))], e.fault()
}

// aCheck finds nothing, and fails as the store does.
type aCheck struct{ *faulty }

func (c aCheck) Check(ctx context.Context, q *check.Question) (*check.Result, error) {
	if err := c.fault(); err != nil {
		return nil, err
	}
	if q.Repository != "" && q.Repository != exampleStanding().Repository {
		return nil, &store.NotFoundError{Key: knowledge.Key{Kind: knowledge.KindRepository, ID: q.Repository}}
	}
	return check.NewSet(nil, nil, time.Now()).Answer(ctx, q)
}

func TestACheckNamesEachFaultOfItsQuestion(t *testing.T) {
	runScenarios(t, []scenario{
		{
			name: "files", ask: post(checkPath, `{"files":[{"path":"a.go","content":"x"}]}`), status: http.StatusOK,
			want: `{"decision":"allow","files":1,"findings":[]}`,
		},
		{
			name: "no files", ask: post(checkPath, `{"files":[]}`), status: http.StatusUnprocessableEntity,
			want: `{"errors":[{"pointer":"/files"}]}`,
		},
		{
			name: "another path", ask: post(checkPath,
				`{"files":[{"path":"../a","content":""},{"path":"b","content":""}]}`),
			status: http.StatusUnprocessableEntity,
			want:   `{"errors":[{"pointer":"/files/0/path"}]}`,
		},
		{
			name: "much", ask: post(checkPath,
				`{"report":true,"files":[{"path":"a","content":"x","lines":[2,1]}],"commits":1}`),
			status: http.StatusUnprocessableEntity,
			want:   `{"detail":"3 faults: see errors"}`,
		},
		{
			name: "gone", ask: post(checkPath,
				`{"repository":"acme.pay","report":true,"gone":["../b","a"],"files":[{"path":"./a","content":"x"}]}`),
			status: http.StatusUnprocessableEntity,
			want:   `{"errors":[{"pointer":"/gone/0"},{"pointer":"/gone/1"}]}`,
		},
		{
			name: "gone without a report", ask: post(checkPath, `{"gone":["a"]}`),
			status: http.StatusUnprocessableEntity, want: `{"errors":[{"pointer":"/gone"}]}`,
		},
		{name: "another repository", ask: post(checkPath,
			`{"repository":"none","files":[{"path":"a","content":"x"}]}`), status: http.StatusNotFound},
	})
}

func TestTheFleetNamesEachFaultOfACheckIn(t *testing.T) {
	runScenarios(t, []scenario{
		{
			name: "everything is wrong", ask: post(fleetPath+"/acme.pay", `{"via":"mail","branch":"a\nb","seq":-1,"files":{"edited":-1},"hooks":{"edits":"x"},
				"findings":-2,"packs":["a/b"],"at":"yesterday","when":1,"rules":{"R-1":{"violated":-1,"lost":2}}}`),
			status: http.StatusUnprocessableEntity,
			want:   `{"detail":"11 faults: see errors"}`,
		},
		{name: "another id", ask: post(fleetPath+"/nobody", `{"via":"sync"}`), status: http.StatusNotFound},
		{
			name: "a viewer tells", ask: as(knowledge.RoleViewer,
				post(fleetPath+"/acme.pay", `{"via":"sync","seq":7}`)),
			status: http.StatusOK, want: `{"seq":7,"via":"sync"}`,
		},
		{
			name: "a page", ask: get(fleetPath + "?limit=1"), status: http.StatusOK,
			want: `{"next":"acme.pay","counts":[]}`,
		},
		{name: "the last page", ask: get(fleetPath + "?limit=3&state=behind"), status: http.StatusOK},
		{
			name: "another state", ask: get(fleetPath + "?state=lost"), status: http.StatusBadRequest,
			want: `{"errors":[{"pointer":"/state","detail":"*"}]}`,
		},
		{
			name: "effects", ask: get(effectPath + "?limit=1&verdict=noisy"), status: http.StatusOK,
			want: `{"documents":[{"followed":900}]}`,
		},
		{
			name: "another verdict", ask: get(effectPath + "?verdict=good"), status: http.StatusBadRequest,
			want: `{"errors":[{"pointer":"/verdict","detail":"*"}]}`,
		},
		{name: "another limit of effects", ask: get(effectPath + "?limit=-1"), status: http.StatusBadRequest},
		{name: "another limit", ask: get(fleetPath + "?limit=1001"), status: http.StatusBadRequest},
	})
}
