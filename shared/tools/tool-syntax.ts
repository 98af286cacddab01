/**
 * The syntaxes in which models write tool calls. A model has learnt one of them, and its chat
 * template writes past calls in the same one.
 *
 * - `hermes`: `<tool_call>{"name": "f", "arguments": {…}}</tool_call>`, once for each call. Hermes,
 *   Qwen 2.5 and 3; also what a model is told to write whose template knows no tools.
 * - `llama3`: an answer that is `{"name": "f", "parameters": {…}}`, or that with `<|python_tag|>`
 *   before it; further calls after a `;`.
 * - `mistral`: `[TOOL_CALLS] [{"name": "f", "arguments": {…}}, …]`, and the newer
 *   `[TOOL_CALLS]f[ARGS]{…}`.
 */
import * as z from 'zod';

export const ToolSyntax = z.enum(['hermes', 'llama3', 'mistral']);
export type ToolSyntax = z.infer<typeof ToolSyntax>;

export type SyntaxMarks = {
  /** What comes before a call, or before all of them. */
  open: string;
  /** What comes after each call; null: nothing does. */
  close: string | null;
  /** Whether an answer may begin with a call without the mark before it. */
  bare: boolean;
  /** Whether the calls may be a JSON array, or a name with its arguments behind it. */
  lists: boolean;
};

export const SYNTAX_MARKS: Readonly<Record<ToolSyntax, SyntaxMarks>> = {
  hermes: { open: '<tool_call>', close: '</tool_call>', bare: false, lists: false },
  llama3: { open: '<|python_tag|>', close: null, bare: true, lists: false },
  mistral: { open: '[TOOL_CALLS]', close: null, bare: false, lists: true },
};

/** Behind a name, where calls are not JSON: an id and the arguments follow. Both may be missing. */
export const ID_MARK = '[CALL_ID]';
export const ARGUMENTS_MARK = '[ARGS]';

/**
 * Tokens that are text of an answer although tokenizers call them special: without them nobody
 * could tell a call from JSON. A client's text still never becomes one of them.
 */
export const TOOL_MARKS: ReadonlySet<string> = new Set([
  ...Object.values(SYNTAX_MARKS).flatMap(({ open, close }) => (close === null ? [open] : [open, close])),
  ID_MARK,
  ARGUMENTS_MARK,
]);
