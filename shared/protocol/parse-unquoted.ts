/**
 * The value of a JSON text that another server sent. What it throws quotes none of the text:
 * `JSON.parse` does, the text may be a piece of an answer or a prompt, and the error goes to a log.
 */
export function parseUnquoted(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new SyntaxError(`no JSON, but a text of ${text.length} characters`);
  }
}
