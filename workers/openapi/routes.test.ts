/** Every route is in the OpenAPI document, and every route but the public ones needs a key. */
import { expect, test } from 'vitest';
import { LOOSEST } from '#policies/schema.ts';
import type { ErrorBody } from '#shared/api/errors.ts';
import { createApp } from '../app.ts';
import type { Env } from '../request/env.ts';
import { scriptedClassifier } from '../testing/worker/scripted-classifier.ts';
import { OPERATIONS, openApiDocument } from './document.ts';

const unreachable = () => {
  throw new Error('a route got this far without a key');
};
const env: Env = {
  TENANT_INDEX: { getByName: unreachable },
  TENANT_OBJECT: { getByName: unreachable },
  POOL_DIRECTORY: { getByName: unreachable },
  TENANT_SNAPSHOTS: { get: unreachable, put: unreachable, delete: unreachable },
  BACKENDS: '["http://127.0.0.1:1"]',
  DIRECTIVE_SECRET: 'a secret that only tests have, 32 bytes long',
  RECEIPT_JWKS: JSON.stringify({ keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'public', kid: 'test-key' }] }),
  OPERATOR_KEY_SHA256: 'a'.repeat(64),
};
const app = createApp({ classifier: scriptedClassifier, operatorPolicy: LOOSEST });
/** Routes of the method `ALL` are middleware. */
const routes = [
  ...new Set(app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path}`)),
].sort();

test('the document has the routes that there are, and no others', () => {
  expect(Object.keys(OPERATIONS).sort()).toEqual(routes);
  const { paths } = openApiDocument();
  const shown = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((each) => `${each} ${path}`),
  );
  expect(shown).toHaveLength(routes.length);
  expect(shown).toContain('put /admin/v1/tenants/{id}');
  expect(shown).toContain('get /v1/models/{id}');
});

test.each(routes)('%s needs the key that the document says', async (route) => {
  const [method = '', path = ''] = route.split(' ');
  const url = path.replace(':id{.+}', 'some-model').replace(/:\w+/g, 'a');
  const operation = OPERATIONS[route]!;
  const documented = openApiDocument().paths[path.replace(/:(\w+)(\{[^}]*\})?/g, '{$1}')]?.[method.toLowerCase()];
  expect(documented).toMatchObject({ security: operation.access === 'anyone' ? [] : [{ bearer: [] }] });
  if (operation.access === 'anyone') return;
  for (const headers of [{}, { authorization: 'Basic abc' }, { authorization: 'Bearer ' }]) {
    const answer = await app.request(url, { method, headers }, env);
    expect([answer.status, ((await answer.json()) as ErrorBody).error.code]).toEqual([401, 'invalid_api_key']);
  }
});

test('references lead somewhere, and the schemas are those that parse', () => {
  const document = openApiDocument();
  const schemas = document.components.schemas as Record<string, { properties?: Record<string, unknown> }>;
  for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    expect(Object.keys(schemas)).toContain(name);
  }
  // Every reference is one to a shared schema: the document has no other place to refer to.
  for (const [, ref] of JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)) {
    expect(ref).toMatch(/^#\/components\/schemas\/\w+$/);
  }
  expect(schemas.Rule?.properties).toMatchObject({ floor: { type: 'number' }, ramp: { type: 'object' } });
  expect(schemas.Policy?.properties).toMatchObject({ floor: { type: 'number', minimum: 0, maximum: 1 } });
  expect(schemas.Tenant?.properties).toMatchObject({ policy: { $ref: '#/components/schemas/Policy' } });
  expect(document.paths['/admin/v1/tenants/{id}']?.put).toMatchObject({
    requestBody: {
      content: {
        'application/json': {
          schema: {
            properties: { policy: { $ref: '#/components/schemas/Policy' } },
            required: ['name', 'policy', 'keys'],
          },
        },
      },
    },
  });
  expect(document.paths['/v1/chat/completions']?.post).toMatchObject({
    requestBody: { content: { 'application/json': { schema: { required: ['model', 'messages'] } } } },
  });
});
