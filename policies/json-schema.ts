/** The policy language as JSON Schema, for editors. */
import * as z from 'zod';
import { Policy, PolicyPart } from './schema.ts';

/**
 * `policy`: a tenant's document. `part`: that of the operator, a plan or a key. A few rules have no
 * words in JSON Schema, such as a ramp's order; parsing checks those too.
 */
export function policyJsonSchema(kind: 'policy' | 'part') {
  const { $schema, ...schema } = z.toJSONSchema(kind === 'policy' ? Policy : PolicyPart, { io: 'input' });
  const whose = kind === 'policy' ? 'a tenant' : 'the operator, a plan or a key';
  return { $schema, title: `Plimsoll policy of ${whose}`, ...schema };
}
