/**
 * Validates the body by a schema. The route finds it under `c.req.valid('json')`, and Hono's client
 * (`hc`) takes the schema's input as what a request has to send.
 *
 * `@hono/zod-validator` does not fit: it reads the body itself, without our limits, it requires a
 * content type that our clients need not send, and its errors do not name the value that was found,
 * as ours do.
 */
import type { MiddlewareHandler } from 'hono';
import type * as z from 'zod';
import { parseRequest } from '#shared/api/invalid-request.ts';
import type { BodyEnv } from './context.ts';
import { parseJson } from './read-body.ts';

export function validJson<Schema extends z.ZodType<object>>(
  schema: Schema,
): MiddlewareHandler<BodyEnv, string, { in: { json: z.input<Schema> }; out: { json: z.output<Schema> } }> {
  return async function validJson(c, next) {
    c.req.addValidatedData('json', parseRequest(schema, parseJson(c.var.body)));
    await next();
  };
}
