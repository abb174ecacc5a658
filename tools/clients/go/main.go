// This program asks a running tenet with the client that oapi-codegen makes of its description, untouched and without
// options.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"tenet-clients/api"
)

func main() {
	if err := run(context.Background(), os.Getenv("TENET_URL"), os.Getenv("TENET_TOKEN")); err != nil {
		fmt.Fprintln(os.Stderr, "the Go client:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, token string) error {
	c, err := api.NewClientWithResponses(url, api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}))
	if err != nil {
		return err
	}
	tags := []string{"go-client"}
	made, err := c.CreateRuleWithResponse(ctx, nil, api.RuleInput{
		RuleId: "CLIENT-GO", Category: "security", Title: "Written by a generated client", Description: "In Go.",
		Tags: &tags,
	})
	if err != nil || made.JSON201 == nil || *made.JSON201.Version != 1 {
		return fmt.Errorf("create a rule: %w, %s", err, made.Body)
	}
	changed, err := c.PatchRuleWithResponse(ctx, "CLIENT-GO", nil,
		api.PatchRuleJSONRequestBody{"title": "Changed by a generated client"})
	if err != nil || changed.JSON200 == nil || changed.JSON200.Title != "Changed by a generated client" {
		return fmt.Errorf("change it: %w, %s", err, changed.Body)
	}
	page, err := c.ListRulesWithResponse(ctx, &api.ListRulesParams{Tag: &tags[0]})
	if err != nil || page.JSON200 == nil || len(page.JSON200.Items) != 1 ||
		page.JSON200.Items[0].RuleId != "CLIENT-GO" {
		return fmt.Errorf("list it: %w, %s", err, page.Body)
	}
	found, err := c.SearchWithResponse(ctx, &api.SearchParams{Q: "generated client"})
	if err != nil || found.JSON200 == nil || len(found.JSON200.Hits) == 0 {
		return fmt.Errorf("search for it: %w, %s", err, found.Body)
	}
	none, err := c.GetRuleWithResponse(ctx, "NONE", nil)
	if err != nil || none.ApplicationproblemJSON404 == nil || none.ApplicationproblemJSON404.Code != "not_found" {
		return fmt.Errorf("read what is not there: %w, %s", err, none.Body)
	}
	return nil
}
