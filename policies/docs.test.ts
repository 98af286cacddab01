/** What is made from the schema and kept in the repository is up to date. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { fieldTable } from './field-table.ts';
import { policyJsonSchema } from './json-schema.ts';

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
