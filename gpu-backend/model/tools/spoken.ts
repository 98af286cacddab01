/** A conversation whose texts know who wrote them, on its way into a chat template. */
import { callId, type Tool } from '#shared/api/tool-calls.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { Text } from '../jinja/text.ts';
import { Dict, Float, List, type Value } from '../jinja/values.ts';

export type SpokenCall = {
  id: string;
  name: Text;
  /** A JSON text, unless the model made a mistake. */
  json: string;
  /** The number of the message that it is in; see `Text.given`. */
  number: number;
};

export type Spoken = {
  role: Message['role'];
  content: Text;
  calls: readonly SpokenCall[];
  /** Of which call it is the result. */
  answers: string | undefined;
};

export function spoken(message: Message, { number, content }: { number: number; content: Text }): Spoken {
  const { role, tool_calls = [], tool_call_id: answers } = message;
  const calls = tool_calls.map(({ id, name, arguments: json }) => ({
    ...{ id, json, number },
    name: Text.given(name, number),
  }));
  return { role, content, calls, answers };
}

/** The tools as a request says them. `number` stands for all their texts; see `Text.given`. */
export type Told = { tools: readonly Tool[]; number: number };

/** OpenAI's form, which is what templates expect. */
export function toolValue({ name, description, parameters }: Tool, number: number): Dict {
  const given = (text: string) => Text.given(text, number);
  return Dict.of({
    type: Text.written('function'),
    function: Dict.of({
      name: given(name),
      ...(description !== undefined && { description: given(description) }),
      parameters: parameters === undefined ? NO_PARAMETERS : (jsonValue(parameters, number) ?? NO_PARAMETERS),
    }),
  });
}

/** A function without a schema takes no arguments, says OpenAI. */
const NO_PARAMETERS = Dict.of({ type: Text.written('object'), properties: new Dict([]) });

/** The value of a JSON text, its strings given by `number`; null if it is no object. */
export function jsonValue(json: string, number: number): Dict | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  const converted = toValue(value, number);
  return converted instanceof Dict ? converted : null;
}

function toValue(value: unknown, number: number): Value {
  if (typeof value === 'string') return Text.given(value, number);
  if (typeof value === 'number') return Number.isInteger(value) ? value : new Float(value);
  if (Array.isArray(value)) return new List(value.map((item) => toValue(item, number)));
  if (typeof value !== 'object' || value === null) return value === true || value === false ? value : null;
  return new Dict(Object.entries(value).map(([key, inner]) => [Text.given(key, number), toValue(inner, number)]));
}

/** A conversation with every kind of message about tools, for trying out a template. */
export function sampleCalls(calls: number): Message[] {
  const ids = Array.from({ length: calls }, (_, i) => callId(i));
  return [
    { role: 'user', content: SAMPLE.question },
    {
      role: 'assistant',
      content: '',
      tool_calls: ids.map((id) => ({ id, name: SAMPLE.tool.name, arguments: SAMPLE.json })),
    },
    ...ids.map((id): Message => ({ role: 'tool', content: SAMPLE.result, tool_call_id: id })),
  ];
}

export const SAMPLE = {
  question: 'Sample question',
  result: 'Sample result',
  json: '{"sample_key": "Sample value", "number": 7}',
  tool: {
    name: 'sample_tool',
    description: 'Sample description',
    parameters: '{"type": "object", "properties": {"sample_key": {"type": "string"}}}',
  },
} as const satisfies { tool: Tool } & Record<string, unknown>;
