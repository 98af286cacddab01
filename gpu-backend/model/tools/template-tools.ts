/** Gives tools and past calls to a template that knows them. */
import { Text } from '../jinja/text.ts';
import { Dict, List, type Value } from '../jinja/values.ts';
import { jsonValue, type Spoken, type Told, toolValue } from './spoken.ts';

/** What sets a template apart from others that know tools. */
export type Knows = {
  /** Whether it wants the arguments of past calls as a JSON text, and not as an object. */
  textArguments: boolean;
  /** Whether it refuses a message with more than one call. */
  singleCalls: boolean;
};

export function templateMessages(conversation: readonly Spoken[], { textArguments, singleCalls }: Knows): List {
  const messages = singleCalls ? oneCallEach(conversation) : conversation;
  const names = new Map(messages.flatMap(({ calls }) => calls.map(({ id, name }) => [id, name])));
  return new List(
    messages.map(({ role, content, calls, answers }) =>
      Dict.of({
        role: Text.written(role),
        content,
        ...(calls.length > 0 && {
          tool_calls: new List(
            calls.map(({ id, name, json, number }) => {
              const value: Value = textArguments ? null : jsonValue(json, number);
              const called = Dict.of({ name, arguments: value ?? Text.given(json, number) });
              return Dict.of({ id: Text.written(id), type: Text.written('function'), function: called });
            }),
          ),
        }),
        // Some show the result by the name of what was called.
        ...(answers !== undefined && {
          tool_call_id: Text.written(answers),
          name: names.get(answers) ?? Text.written(''),
        }),
      }),
    ),
  );
}

/** null is what a template expects without tools. */
export function templateTools({ tools, number }: Told): List | null {
  return tools.length === 0 ? null : new List(tools.map((tool) => toolValue(tool, number)));
}

/** Each call in a message of its own, with its result behind it. */
function oneCallEach(conversation: readonly Spoken[]): Spoken[] {
  const out: Spoken[] = [];
  const moved = new Set<Spoken>();
  for (const message of conversation) {
    if (message.calls.length < 2) {
      if (!moved.has(message)) out.push(message);
      continue;
    }
    for (const [i, call] of message.calls.entries()) {
      out.push({ ...message, content: i === 0 ? message.content : Text.written(''), calls: [call] });
      const result = conversation.find(({ answers }) => answers === call.id);
      if (result === undefined) continue;
      moved.add(result);
      out.push(result);
    }
  }
  return out;
}
