/**
 * Tools for a model whose chat template knows none: they are written into the system message, the
 * model is asked to write calls as Hermes and Qwen do, and past calls and results become text of
 * the assistant and the user. docs/tools.md shows the prompt.
 */
import { Text } from '../jinja/text.ts';
import { toJson } from '../jinja/to-json.ts';
import { jsonValue, type Spoken, type SpokenCall, type Told, toolValue } from './spoken.ts';

const w = Text.written;
const JSON_OPTIONS = { indent: undefined, separators: undefined, ensureAscii: false, sortKeys: false };

export type Place = 'system' | 'user';

/** @param place where the tools are told: some templates take no system message */
export function plainMessages(conversation: readonly Spoken[], told: Told, place: Place): Spoken[] {
  const out: Spoken[] = [];
  let results: Text[] = [];
  const endResults = () => {
    if (results.length > 0) out.push(said('user', Text.join(results, w('\n'))));
    results = [];
  };
  for (const message of conversation) {
    if (message.role === 'tool') {
      results.push(Text.join([w('<tool_response>\n'), message.content, w('\n</tool_response>')]));
      continue;
    }
    endResults();
    if (message.calls.length === 0) out.push(message);
    else {
      const parts = message.content.string === '' ? [] : [message.content];
      out.push(said('assistant', Text.join([...parts, ...message.calls.map(callText)], w('\n'))));
    }
  }
  endResults();
  return told.tools.length === 0 ? out : withTools(out, told, place);
}

const said = (role: Spoken['role'], content: Text): Spoken => ({ role, content, calls: [], answers: undefined });

function callText({ name, json, number }: SpokenCall): Text {
  const value = jsonValue(json, number);
  const written = value === null ? Text.given(json, number) : toJson(value, JSON_OPTIONS);
  return Text.join([w('<tool_call>\n{"name": "'), name, w('", "arguments": '), written, w('}\n</tool_call>')]);
}

function toolsText({ tools, number }: Told): Text {
  return Text.join(
    [
      w('# Tools\n\nYou may call these functions. Each line describes one of them as JSON:'),
      ...tools.map((tool) => toJson(toolValue(tool, number), JSON_OPTIONS)),
      w(
        '\nTo call a function, write its name and its arguments as JSON, and nothing after it:\n' +
          '<tool_call>\n{"name": "<name>", "arguments": {<arguments>}}\n</tool_call>\n' +
          'For several calls, write several of these. You will read each result between <tool_response> and ' +
          '</tool_response>. If no function helps, answer without a call.',
      ),
    ],
    w('\n'),
  );
}

function withTools(conversation: readonly Spoken[], told: Told, place: Place): Spoken[] {
  const text = toolsText(told);
  if (place === 'system') {
    const others = conversation.findIndex(({ role }) => role !== 'system');
    const leading = others === -1 ? conversation.length : others;
    const last = conversation[leading - 1];
    if (last === undefined) return [said('system', text), ...conversation];
    const [before, own] = splitOwn(last.content, told.number);
    const parts = [before, text, own].filter(({ string }) => string.trim() !== '');
    const content = Text.join(parts, w('\n\n'));
    return [...conversation.slice(0, leading - 1), { ...last, content }, ...conversation.slice(leading)];
  }
  const first = conversation.findIndex(({ role }) => role === 'user');
  return conversation.map((message, i) =>
    i === first ? { ...message, content: Text.join([text, message.content], w('\n\n')) } : message,
  );
}

/** An expert's own prompt has the last word: it stays behind the tools. */
function splitOwn(content: Text, toolsNumber: number): [client: Text, own: Text] {
  const stretches = [...content.stretches()];
  const own = stretches.at(-1);
  // The number before that of the tools is the own prompt's.
  if (own === undefined || own.writer !== toolsNumber - 1) return [content, w('')];
  const at = content.string.length - own.text.length;
  // `withPrompt` puts an empty line between them.
  const client = content.slice(0, at).string.endsWith('\n\n') ? content.slice(0, at - 2) : content.slice(0, at);
  return [client, content.slice(at)];
}
