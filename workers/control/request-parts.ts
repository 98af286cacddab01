/**
 * Parts of a request to the admin API, checked before a route runs. The route finds them under
 * `c.req.valid`, and the typed client sends them.
 */
import type { MiddlewareHandler } from 'hono';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { parseRequest } from '#shared/api/invalid-request.ts';
import type { IfMatch } from '../objects/if-match.ts';
import { Fate, Id, parseTenantId } from '../objects/tenant-record.ts';
import { MOST_KEPT } from '../objects/tenant-traffic-contract.ts';
import type { AppEnv } from '../request/context.ts';

type In<Target extends string, Value> = { [key in Target]: Value };

type Param<Names extends string> = In<'param', Record<Names, string>>;
type ValidParam<Names extends string> = MiddlewareHandler<AppEnv, string, { in: Param<Names>; out: Param<Names> }>;

export function validTenantId(): ValidParam<'id'> {
  return async function validTenantId(c, next) {
    c.req.addValidatedData('param', { id: parseTenantId(c.req.param('id')) });
    await next();
  };
}

export function validKeyId(): ValidParam<'id' | 'key'> {
  return async function validKeyId(c, next) {
    const id = parseTenantId(c.req.param('id'));
    c.req.addValidatedData('param', { id, key: parseId(c.req.param('key'), { of: 'key', param: 'key' }) });
    await next();
  };
}

export function validPlanId(): ValidParam<'id'> {
  return async function validPlanId(c, next) {
    c.req.addValidatedData('param', { id: parseId(c.req.param('id'), { of: 'plan', param: 'id' }) });
    await next();
  };
}

const VERSION = /^[0-9a-f]{16,64}$/;

export function validVersion(): ValidParam<'id' | 'version'> {
  return async function validVersion(c, next) {
    const version = c.req.param('version') ?? '';
    if (!VERSION.test(version)) {
      throw new PlimsollError('invalid_request', 'A version is 16 hex digits or more.', { param: 'version' });
    }
    c.req.addValidatedData('param', { id: parseTenantId(c.req.param('id')), version });
    await next();
  };
}

function parseId(text: string | undefined, { of, param }: { of: string; param: string }): string {
  const id = Id.safeParse(text);
  if (id.success) return id.data;
  throw new PlimsollError('invalid_request', `A ${of}'s id is up to 64 of a-z, 0-9, '-' and '_'.`, { param });
}

export function validQuery<Schema extends z.ZodType<object>>(
  schema: Schema,
): MiddlewareHandler<AppEnv, string, { in: In<'query', z.input<Schema>>; out: In<'query', z.output<Schema>> }> {
  return async function validQuery(c, next) {
    c.req.addValidatedData('query', parseRequest(schema, c.req.query()));
    await next();
  };
}

const wholeNumber = (schema: z.ZodInt) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'a whole number')
    .transform(Number)
    .pipe(schema);

export const TenantPage = z.strictObject({
  after: z.string().default('').describe('the id after which the page begins'),
  limit: wholeNumber(z.int().min(1).max(100)).default(100),
});
export const DeleteTenant = z.strictObject({
  data: Fate.describe("what becomes of the tenant's policies and audit log"),
});
export const DiffQuery = z.strictObject({
  from: z
    .string()
    .regex(VERSION, 'a version of 16 hex digits or more')
    .optional()
    .describe('the version to compare with; left out: the active one'),
});
export const AuditPage = z.strictObject({
  before: wholeNumber(z.int().min(1)).optional().describe('only entries before this one'),
  limit: wholeNumber(z.int().min(1).max(1000)).default(100),
});
export const KeptPage = z.strictObject({
  limit: wholeNumber(z.int().min(1).max(MOST_KEPT)).default(MOST_KEPT).describe('how many of the latest'),
});
export const KnownHead = z
  .strictObject({
    seq: wholeNumber(z.int().min(1)).optional().describe('an entry that was noted earlier'),
    hash: z.string().optional().describe('its hash'),
  })
  .refine(({ seq, hash }) => (seq === undefined) === (hash === undefined), {
    error: "both 'seq' and 'hash', or neither",
  });

/** The revision that a change was made for, from `If-Match`. null: the request names none. */
export function ifMatchOf(header: string | undefined): IfMatch {
  if (header === undefined) return null;
  const text = header.trim();
  if (text === '*') return 'any';
  const revision = /^(?:W\/)?"(\d{1,15})"$/.exec(text)?.[1];
  if (revision !== undefined) return Number(revision);
  throw new PlimsollError('invalid_value', `If-Match is an ETag of this API, as in '"7"', or '*'.`, {
    param: 'If-Match',
  });
}
