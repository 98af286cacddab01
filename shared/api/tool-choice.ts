/** OpenAI's `tool_choice`: whether an answer calls functions, which, and what it is held to. */
import * as z from 'zod';
import { type ChatTool, functionName } from './chat-tools.ts';
import { PlimsollError } from './errors.ts';
import { describeFound } from './invalid-request.ts';
import { MAX_TOOLS } from './tool-calls.ts';

const named = z.object({ type: z.literal('function'), function: z.object({ name: functionName }) });

export const ToolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  named.transform(({ function: { name } }) => ({ name })),
  z
    .object({
      type: z.literal('allowed_tools'),
      allowed_tools: z.object({ mode: z.enum(['auto', 'required']), tools: z.array(named).min(1).max(MAX_TOOLS) }),
    })
    .transform(({ allowed_tools: { mode, tools } }) => ({ mode, names: tools.map((tool) => tool.function.name) })),
]);
type ToolChoice = z.infer<typeof ToolChoice>;

export type AskedTools = {
  tools?: readonly ChatTool[] | null | undefined;
  tool_choice?: ToolChoice | null | undefined;
  parallel_tool_calls?: boolean | null | undefined;
};

/** Throws unless the choice is among the tools. */
export function checkToolChoice({ tools, tool_choice: choice }: AskedTools): void {
  if (choice == null || choice === 'none' || choice === 'auto') return;
  if (tools == null || tools.length === 0) {
    throw new PlimsollError('invalid_value', "'tool_choice' is only allowed when 'tools' are given.", {
      param: 'tool_choice',
    });
  }
  if (choice === 'required') return;
  const known = new Set(tools.map(({ name }) => name));
  if ('name' in choice) {
    if (!known.has(choice.name)) throw unknownTool(choice.name, 'tool_choice.function.name');
    return;
  }
  for (const [i, name] of choice.names.entries()) {
    if (!known.has(name)) throw unknownTool(name, `tool_choice.allowed_tools.tools[${i}].function.name`);
  }
}

function unknownTool(name: string, param: string): PlimsollError {
  return new PlimsollError(
    'invalid_value',
    `Invalid value for '${param}': expected the name of one of the 'tools', found ${describeFound(name)}.`,
    { param },
  );
}

/** A function that an answer may call, and where it stands among the request's `tools`. */
type Callable = ChatTool & {
  index: number;
  /** Whether its arguments have to fit its schema. If not, they are any JSON object. */
  fits: boolean;
};

/** What a grammar holds an answer to. */
export type HeldCalls = {
  /** Those that may be called: at least one. */
  functions: readonly Callable[];
  /** Whether the answer is calls and nothing else. */
  forced: boolean;
  /** Whether at most one call may be made. */
  single: boolean;
  /** The field that asks for it, and what would not. null: none does. */
  asked: { param: string; unheld: string } | null;
};

/**
 * The calls that a grammar has to say something of; null if an answer may have none. If no field
 * asks for it, calls are read as they come, unless something else is asked of the answer.
 */
export function heldCalls({ tools, tool_choice: choice, parallel_tool_calls: parallel }: AskedTools): HeldCalls | null {
  const { mode, names } = readChoice(choice ?? 'auto');
  if (tools == null || tools.length === 0 || mode === 'none') return null;
  const forced = mode === 'required';
  const functions = tools.flatMap((tool, index): Callable[] =>
    names === null || names.includes(tool.name) ? [{ ...tool, index, fits: forced || tool.strict }] : [],
  );
  // Of a function that is named, OpenAI makes exactly one call.
  const isNamed = typeof choice === 'object' && choice !== null && 'name' in choice;
  const held = { functions, forced, single: isNamed || parallel === false };
  if (forced || names !== null) return { ...held, asked: { param: 'tool_choice', unheld: '"auto" or "none"' } };
  const strict = functions.find((tool) => tool.strict);
  return {
    ...held,
    asked: strict === undefined ? null : { param: `tools[${strict.index}].function.strict`, unheld: 'false' },
  };
}

/** names: the only functions that may be called; null: any. */
function readChoice(choice: ToolChoice): { mode: 'none' | 'auto' | 'required'; names: readonly string[] | null } {
  if (typeof choice === 'string') return { mode: choice, names: null };
  return 'name' in choice ? { mode: 'required', names: [choice.name] } : choice;
}
