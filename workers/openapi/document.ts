/**
 * Makes the OpenAPI document. Its schemas are the zod schemas that parse, through zod's own
 * `toJSONSchema`: OpenAPI 3.1 is JSON Schema, so nothing has to be translated.
 */
import * as z from 'zod';
import { Policy } from '#policies/schema.ts';
import { ERROR_CODES, type ErrorCode } from '#shared/api/errors.ts';
import { KeyAnswer, PolicyInForce, TenantAnswer } from '../control/admin-answers.ts';
import { CONSOLE_PLANE } from './console-plane.ts';
import { CONTROL_PLANE } from './control-plane.ts';
import { DATA_PLANE } from './data-plane.ts';
import { hoistDefinitions } from './hoist-definitions.ts';
import type { Access, Operation, Operations } from './operation.ts';

export const OPERATIONS: Operations = { ...DATA_PLANE, ...CONTROL_PLANE, ...CONSOLE_PLANE };

/** Schemas that are shown once, and by reference where they are used. */
const SHARED = { Policy, Tenant: TenantAnswer, Key: KeyAnswer } as const;
const refTo = (name: string) => `#/components/schemas/${name}`;

const KEYS: Record<Exclude<Access, 'anyone'>, string> = {
  key: "A tenant's key with the scope `inference`.",
  operator: "The operator's key.",
  read: "The operator's key, or a key of this tenant with the scope `read` or `admin`.",
  admin: "The operator's key, or a key of this tenant with the scope `admin`.",
  spend: "The operator's key, or a key of this tenant with the scopes `admin` and `inference`.",
  prompts: "The operator's key, or a key of this tenant with the scopes `admin` and `prompts`.",
};

export function openApiDocument() {
  const paths: Record<string, Record<string, object>> = {};
  for (const [route, operation] of Object.entries(OPERATIONS)) {
    const [method = '', path = ''] = route.split(' ');
    // `:id{.+}` is a parameter that may have slashes.
    const names = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name ?? '');
    const shown = path.replace(/:(\w+)(\{[^}]*\})?/g, '{$1}');
    paths[shown] = { ...paths[shown], [method.toLowerCase()]: describe(operation, names) };
  }
  return hoistDefinitions({
    openapi: '3.1.0',
    info: {
      title: 'Plimsoll',
      version: '1',
      description: 'An OpenAI-compatible API in which every tenant has a line that decoding may not cross.',
    },
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: { ...sharedSchemas(), Error: schemaOf(ErrorAnswer, 'output') },
    },
  });
}

// The cast: the keys of a record lose their type.
const ErrorCodes = z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]);
const ErrorAnswer = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: ErrorCodes,
  }),
  current: z.unknown().optional().describe('what a change would have overwritten'),
});

function describe(
  {
    summary,
    access,
    query,
    body,
    bodyType = 'application/json',
    takes = {},
    gives = {},
    ifMatch,
    status = 200,
    answers,
  }: Operation,
  names: string[],
) {
  const path = names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
  const sent = Object.entries(takes).map(([name, description]) => ({
    ...{ name, in: 'header', required: false, schema: { type: 'string' }, description },
  }));
  const headers = Object.entries(gives).map(([name, schema]) => [name, { schema: schemaOf(schema, 'output') }]);
  const content = Object.entries(answers).map(([type, schema]) => {
    return [type, schema === null ? {} : { schema: schemaOf(schema, 'output') }];
  });
  return {
    summary,
    ...(access !== 'anyone' && { description: KEYS[access] }),
    security: access === 'anyone' ? [] : [{ bearer: [] }],
    parameters: [
      ...path,
      ...sent,
      ...(query === undefined ? [] : queryParameters(query)),
      ...ifMatchParameter(ifMatch),
    ],
    ...(body !== undefined && {
      requestBody: { required: true, content: { [bodyType]: { schema: schemaOf(body, 'input') } } },
    }),
    responses: {
      [status]: {
        description: 'A good answer',
        ...(headers.length > 0 && { headers: Object.fromEntries(headers) }),
        content: Object.fromEntries(content),
      },
      default: { description: 'An error', content: { 'application/json': { schema: { $ref: refTo('Error') } } } },
    },
  };
}

function ifMatchParameter(ifMatch: Operation['ifMatch']): object[] {
  if (ifMatch === undefined) return [];
  const description =
    ifMatch === 'taken'
      ? 'The ETag that this change was made for.'
      : 'The ETag that this change was made for, or `*`. Without it, nothing is overwritten (428).';
  return [{ name: 'If-Match', in: 'header', required: false, description, schema: { type: 'string' } }];
}

function queryParameters(query: z.ZodType): object[] {
  // The cast: the schema of an object has these two.
  const { properties = {}, required = [] } = schemaOf(query, 'input') as {
    properties?: Record<string, object>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => {
    return { name, in: 'query', required: required.includes(name), schema };
  });
}

function sharedSchemas(): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(SHARED).map(([name, schema]) => [
      name,
      schemaOf(schema, name === 'Policy' ? 'input' : 'output', name),
    ]),
  );
}

/** @param own the name under which this schema is shown, so that it does not refer to itself */
function schemaOf(schema: z.ZodType, io: 'input' | 'output', own?: string): object {
  const { $schema: _, ...shown } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    reused: 'inline',
    override({ zodSchema, jsonSchema }) {
      const name = Object.entries(SHARED).find(([, shared]) => shared === zodSchema)?.[0];
      const ref = zodSchema === PolicyInForce ? 'Policy' : name === own ? undefined : name;
      if (ref !== undefined) replace(jsonSchema, { $ref: refTo(ref) });
      // JSON has one kind of number.
      else if (zodSchema instanceof z.ZodBigInt) replace(jsonSchema, { type: 'integer' });
    },
  });
  return shown;
}

function replace(schema: object, by: object): void {
  for (const key of Object.keys(schema)) Reflect.deleteProperty(schema, key);
  Object.assign(schema, by);
}
