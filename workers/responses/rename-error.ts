/** An error of the chat route, in the words of the request that the client has sent. */
import { PlimsollError } from '#shared/api/errors.ts';

/** The names that differ, from the longest on. Parts of them keep their place. */
const NAMES: readonly [RegExp, string][] = [
  [/^max_completion_tokens$/, 'max_output_tokens'],
  [/^response_format\.json_schema/, 'text.format'],
  [/^response_format/, 'text.format'],
  [/^(tools\[\d+\])\.function/, '$1'],
  [/^tool_choice\.function/, 'tool_choice'],
  [/^tool_choice\.allowed_tools/, 'tool_choice'],
  [/^messages$/, 'input'],
  [/^logprobs$/, 'include'],
];

/** @param paths where each message of the chat request comes from */
export function renamed(error: PlimsollError, paths: readonly string[]): PlimsollError {
  const { param, message } = error;
  if (param === null) return error;
  const name = nameHere(param, paths);
  if (name === param) return error;
  return new PlimsollError(error.code, message.replaceAll(`'${param}'`, `'${name}'`), {
    param: name,
    detail: error.detail,
    cause: error.cause,
    ...(error.retryAfterSeconds !== undefined && { retryAfterSeconds: error.retryAfterSeconds }),
    extension: error.extension,
  });
}

function nameHere(param: string, paths: readonly string[]): string {
  const [, index, rest] = /^messages\[(\d+)\](.*)$/.exec(param) ?? [];
  if (index !== undefined) {
    const path = paths[Number(index)] ?? 'input';
    // The text of a whole item is the item's.
    return path.startsWith('input[') ? `${path}${rest}` : path;
  }
  for (const [pattern, name] of NAMES) if (pattern.test(param)) return param.replace(pattern, name);
  return param;
}
