import { describe, expect, test } from 'vitest';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { type Receipt, signReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { createReceiptKey } from '../testing/receipt-key.ts';
import { isWorthKeeping, readKept, replay, toKept, writeKept } from './kept-answer.ts';

const key = await createReceiptKey('k1');
const TEXT = 'The answer is ⚓ and no more.';
const receipt: Receipt = {
  request: 'req_1',
  directive: '11111111-1111-4111-8111-111111111111',
  tenant: 'acme',
  key: 'main',
  policy: '0123456789abcdef',
  classifier: 'c1',
  model: 'm',
  bundle: 'b',
  experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'adapter' } },
  backend: 'backend-0',
  parts: [],
  draws: '01234567',
  line: { ...OPEN_LINE, floor: 0.2 },
  second_look: null,
  top_k: null,
  weights: { min: 0.5, mean: 0.5, max: 0.5 },
  spent: 1,
  ran: { safety: 5, helpfulness: 5 },
  usage: { prompt_tokens: 1, completion_tokens: 5, total_tokens: 6 },
  finish_reason: 'stop',
  choice: 0,
  choices: 1,
  seed: 7,
  sampling: { temperature: 0, top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1 },
  prompt_digest: 'p',
  answer_digest: await sha256Hex(TEXT),
};

const token = (text: string) => ({ id: 1, text, weight: 0.5, floor: 0.2, lp_s: null, lp_h: null, lp: -1, spent: 0 });
async function kept({ tokensToo = false, changes = {} as Partial<Receipt> } = {}) {
  const end = { receiptToken: await signReceipt({ ...receipt, ...changes }, key), receipt };
  const deltas = TEXT.split(/(?= )/).map((text) => ({ text, tokens: [token(text)] }));
  return toKept({ deltas, end }, { key: 'k', keptAtMs: 1_000, systemFingerprint: 'fp_1', tokensToo });
}
const about = { key: 'k', tenant: 'acme', jwks: key.jwks };

test('what was written is read again, and becomes the same text, tokens and receipt', async () => {
  const read = await readKept(writeKept(await kept({ tokensToo: true })), about);
  const events = replay(read!);
  let text = '';
  let tokens = 0;
  let next = await events.next();
  for (; !next.done; next = await events.next()) {
    text += next.value.text;
    tokens += next.value.tokens.length;
  }
  expect([text, tokens, next.value.receipt]).toEqual([TEXT, 7, receipt]);
});

test('a short answer is one piece, and has tokens only for whoever is told of them', async () => {
  expect((await kept()).deltas).toEqual([{ text: TEXT, tokens: [] }]);
});

describe('is not believed:', () => {
  test.each<[string, () => Promise<string>]>([
    ['noise', async () => 'noise'],
    ['other words', async () => writeKept(await kept()).replace('no more', 'much more')],
    ["another tenant's answer", async () => writeKept(await kept({ changes: { tenant: 'other' } }))],
    ['an answer of another key', async () => writeKept({ ...(await kept()), key: 'l' })],
    [
      'an answer that nobody has signed',
      async () => {
        const stranger = await createReceiptKey('k1');
        return writeKept({ ...(await kept()), receiptToken: await signReceipt(receipt, stranger) });
      },
    ],
    ['a field too many', async () => JSON.stringify({ ...JSON.parse(writeKept(await kept())), extra: 1 })],
  ])('%s', async (_name, write) => {
    expect(await readKept(await write(), about)).toBeNull();
  });
});

describe('worth keeping', () => {
  const look = (probability: number) => ({
    version: 'v',
    categories: JUDGEMENTS.map((name) => ({ name, probability })),
    tightened: true,
    because: null,
  });
  test.each<[string, Partial<Receipt>, boolean]>([
    ['an answer of both experts', {}, true],
    ['one that reached its limit of tokens', { finish_reason: 'length' }, true],
    ['one that several backends have made', { parts: [] }, true],
    ['one of the layers', { ran: { safety: 5, layers: 5 } }, true],
    ['one that the line gives to the safety expert', { line: { ...OPEN_LINE, floor: 1 }, ran: { safety: 5 } }, true],
    [
      'one whose budget was spent on the way',
      { line: { ...OPEN_LINE, budget: 1 }, ran: { safety: 5, helpfulness: 3 } },
      true,
    ],
    ['one in which the helpfulness expert stopped', { ran: { safety: 5, helpfulness: 3 } }, false],
    ['one in which it never ran', { ran: { safety: 5 } }, false],
    ['a refusal', { finish_reason: 'content_filter' }, false],
    ['one with a look that found something', { second_look: look(0.9) }, true],
    ['one with a look that could not look', { second_look: look(1) }, false],
  ])('%s: %s', (_name, changes, expected) => {
    expect(isWorthKeeping({ ...receipt, ...changes })).toBe(expected);
  });
});
