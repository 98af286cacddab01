import { PlimsollError } from '#shared/api/errors.ts';
import { GenerateRequest } from '#shared/protocol/generate.ts';
import { parseJson } from './parse-body.ts';

/** Parses the body of `POST /v1/generate`, or throws an error that names the field. */
export function parseRequest(body: Uint8Array): GenerateRequest {
  const parsed = GenerateRequest.safeParse(parseJson(body));
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  const param = shortened(path.join('.')) || null;
  const what = shortened(message);
  // OpenAI's name for a field that is wrong.
  const code = param === null ? 'invalid_request' : 'invalid_value';
  throw new PlimsollError(code, param === null ? what : `${param}: ${what}`, { param });
}

/** Names in it may be the caller's, as long and as many as it likes. */
const MOST_CHARACTERS = 500;

const shortened = (text: string) => (text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}...` : text);
