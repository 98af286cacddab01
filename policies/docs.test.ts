/** What is made from the schema and kept in the repository is up to date. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { fieldTable } from './field-table.ts';
import { policyJsonSchema } from './json-schema.ts';
import { readPolicy } from './problems.ts';
import { arbitraryPolicy } from './testing/arbitrary-policy.ts';

test.each([
  ['policy', 'policy.schema.json', ''],
  ['part', 'policy-part.schema.json', ' --part'],
] as const)('the JSON Schema of a %s is what the code reads', (kind, file, option) => {
  const kept = JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as unknown;
  const hint = `npx plimsoll policy schema${option} > policies/${file} && npm run format`;
  expect(kept, hint).toEqual(JSON.parse(JSON.stringify(policyJsonSchema(kind))));
});

test('the table of fields in docs/policies.md is that of the schema (vitest -u writes it)', async () => {
  const page = fileURLToPath(new URL('../docs/policies.md', import.meta.url));
  const [before, , after] = readFileSync(page, 'utf8').split(/<!-- (?:fields|end of fields) -->/);
  const made = `${before}<!-- fields -->\n\n${fieldTable()}\n\n<!-- end of fields -->${after}`;
  await expect(made).toMatchFileSnapshot(page);
});

test('the policy in docs/policies.md is one', () => {
  const page = readFileSync(new URL('../docs/policies.md', import.meta.url), 'utf8');
  const [, document] = /```json\n([\s\S]*?)```/.exec(page)!;
  expect(readPolicy(JSON.parse(document!), 'policy').problems).toEqual([]);
});

/** Another reader of documents, made from the JSON Schema alone. */
const byJsonSchema = z.fromJSONSchema(
  // The cast: this schema is a JSON Schema, and its type says less than `fromJSONSchema` wants.
  JSON.parse(JSON.stringify(policyJsonSchema('policy'))) as Parameters<typeof z.fromJSONSchema>[0],
);

test('an editor with the JSON Schema takes every policy, and refuses what reading refuses', () => {
  const wrong = fc.constantFrom<object>(
    { floor: 2 },
    { floor: undefined },
    { budget: -1 },
    { flor: 1 },
    { action: 'deny' },
    { limits: { max_tokens: 0 } },
    { categories: { hate: {} } },
    { shadow: { nonsense: {} } },
    { tests: [{ prompt: 'Hello' }] },
  );
  fc.assert(
    fc.property(arbitraryPolicy, wrong, (policy, change) => {
      expect(byJsonSchema.safeParse(policy).success).toBe(true);
      const changed: unknown = JSON.parse(JSON.stringify({ ...policy, ...change }));
      expect(readPolicy(changed, 'policy').policy).toBeNull();
      expect(byJsonSchema.safeParse(changed).success).toBe(false);
    }),
    { numRuns: 50 },
  );
});
