/** The reference says what the OpenAPI document says. */
import { expect, test } from 'vitest';
import { openApiDocument } from '#workers/openapi/document.ts';
import { apiReference } from './api-reference.ts';
import { fieldsOf, type Schema, valuesOf } from './json-schema.ts';

test('has every route, and every schema that it refers to', () => {
  const document = openApiDocument();
  const page = apiReference(document);
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const method of Object.keys(methods)) expect(page).toContain(`### ${method.toUpperCase()} \`${path}\``);
  }
  const headings = [...page.matchAll(/^### (\w+)$/gm)].map(([, name]) => name!.toLowerCase());
  for (const [, anchor] of page.matchAll(/\]\(#([\w-]+)\)/g)) expect(headings).toContain(anchor);
  expect(page).toContain('| **`messages[].role`** |');
  expect(page).not.toMatch(/undefined|\[object|NaN/);
});

test.each<[Schema, string]>([
  [{ type: 'number', minimum: 0, maximum: 1 }, 'number, 0 to 1'],
  [{ type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER }, 'whole number from 1'],
  [{ anyOf: [{ type: 'string', enum: ['none', 'tokens'] }, { type: 'null' }] }, '`"none"`, `"tokens"` or `null`'],
  [{ type: ['string', 'null'] }, 'text or `null`'],
  [{ type: 'array', items: { type: 'string' }, maxItems: 4 }, 'list of text, 0 to 4 entries'],
  [{ $ref: '#/components/schemas/Policy' }, '[Policy](#policy)'],
  [{}, 'any value'],
])('%j is said as %s', (schema, words) => expect(valuesOf(schema)).toBe(words));

test('fields of objects within lists and alternatives come after the field that has them', () => {
  const part: Schema = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] };
  const schema: Schema = {
    type: 'object',
    properties: { content: { anyOf: [{ type: 'string' }, { type: 'array', items: part }] } },
  };
  expect(fieldsOf(schema).map(({ name, required }) => [name, required])).toEqual([
    ['content', false],
    ['content[].text', true],
  ]);
});
