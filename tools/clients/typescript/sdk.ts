// Asks a running tenet with the client that @hey-api/openapi-ts makes of its description, untouched and without options.
import { client } from "./generated/sdk/client.gen.js";
import { createRule, getRule, listRules, patchRule, search } from "./generated/sdk/sdk.gen.js";

declare const process: { env: Record<string, string | undefined>; exitCode: number };

client.setConfig({ baseUrl: process.env.TENET_URL ?? "", auth: () => process.env.TENET_TOKEN });

const made = await createRule({
  body: { rule_id: "CLIENT-SDK", category: "security", title: "Written by a generated SDK", description: "In TypeScript.", tags: ["sdk-client"] },
});
if (made.data?.version !== 1) throw new Error(`create a rule: ${JSON.stringify(made.error)}`);

const changed = await patchRule({ path: { id: "CLIENT-SDK" }, body: { title: "Changed by a generated SDK" } });
if (changed.data?.title !== "Changed by a generated SDK") throw new Error(`change it: ${JSON.stringify(changed.error)}`);

const page = await listRules({ query: { tag: "sdk-client" } });
if (page.data?.items[0]?.rule_id !== "CLIENT-SDK") throw new Error(`list it: ${JSON.stringify(page.error)}`);

const found = await search({ query: { q: "generated SDK" } });
if (!found.data?.hits.length) throw new Error(`search for it: ${JSON.stringify(found.error)}`);

const none = await getRule({ path: { id: "NONE" } });
if (none.error?.code !== "not_found") throw new Error(`read what is not there: ${JSON.stringify(none)}`);
