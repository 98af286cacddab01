import { PlimsollError } from '#shared/api/errors.ts';

/** The key in `Authorization: Bearer <key>`. */
export function bearerToken(authorization: string | undefined): string {
  const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) {
    throw new PlimsollError(
      'invalid_api_key',
      "You didn't provide an API key. Send it in the Authorization header, as in 'Authorization: Bearer YOUR_KEY'.",
    );
  }
  return token;
}
