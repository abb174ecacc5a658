// Asks a running tenet with the types that openapi-typescript makes of its description, untouched and without options.
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/types.js";

declare const process: { env: Record<string, string | undefined>; exitCode: number };

const client = createClient<paths>({
  baseUrl: process.env.TENET_URL ?? "",
  headers: { Authorization: `Bearer ${process.env.TENET_TOKEN}` },
});

const rule: components["schemas"]["RuleInput"] = {
  rule_id: "CLIENT-TYPED", category: "security", title: "Written by a typed client", description: "In TypeScript.", tags: ["typed-client"],
};
const made = await client.POST("/api/v1/rules", { body: rule });
if (made.data?.version !== 1) throw new Error(`create a rule: ${JSON.stringify(made.error)}`);

const page = await client.GET("/api/v1/rules", { params: { query: { tag: "typed-client", total: true } } });
if (page.data?.items[0]?.rule_id !== "CLIENT-TYPED" || page.data.total !== 1) throw new Error(`list it: ${JSON.stringify(page)}`);

const none = await client.GET("/api/v1/rules/{id}", { params: { path: { id: "NONE" } } });
if (none.error?.code !== "not_found") throw new Error(`read what is not there: ${JSON.stringify(none)}`);
