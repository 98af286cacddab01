import { PlimsollError } from '#shared/api/errors.ts';

/** The signed order in an Authorization header. Throws `directive_invalid` if there is none. */
export function orderToken(authorization: string | undefined): string {
  const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (token !== undefined) return token;
  throw new PlimsollError('directive_invalid', 'This route needs a signed order in the Authorization header.');
}
