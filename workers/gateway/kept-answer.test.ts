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

const token = (text: string, { weight = 0.5, spent = 0 } = {}) => ({
  ...{ id: 1, text, weight, floor: 0.2 },
  ...{ lp_s: null, lp_h: null, lp: -1, spent },
});
/** Tokens of these weights, each of which spends so many nats. */
const drawn = (weights: readonly number[], { nats = 0 } = {}) =>
  weights.map((weight, i) => ({ text: ' a', tokens: [token(' a', { weight, spent: nats * (i + 1) })] }));
async function kept({ tokensToo = false, changes = {} as Partial<Receipt> } = {}) {
  const end = { receiptToken: await signReceipt({ ...receipt, ...changes }, key), receipt };
  const deltas = TEXT.split(/(?= )/).map((text) => ({ text, tokens: [token(text)] }));
  return toKept({ deltas, end }, { key: 'k', keptAtMs: 1_000, systemFingerprint: 'fp_1', tokensToo });
}
const asked = { tenant: 'acme', key: 'main', policy: '0123456789abcdef', classifier: 'c1', bundle: 'b', probe: null };
const about = { key: 'k', asked, jwks: key.jwks };

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

describe('of several answers', () => {
  const other = 'Another one.';
  const second = async (): Promise<Receipt> => ({
    ...receipt,
    choice: 1,
    choices: 2,
    answer_digest: await sha256Hex(other),
  });
  const likely = { id: 1, bytes: [65], lp: -1, top: [] };
  async function two() {
    const [a, b] = [{ ...receipt, choices: 2 }, await second()];
    const more = [{ receiptToken: await signReceipt(b, key), receipt: b }];
    const end = { receiptToken: await signReceipt(a, key), receipt: a, more };
    const deltas = [
      { text: '', tokens: [], echo: { text: 'Ahoy' } },
      { text: TEXT.slice(0, 5), tokens: [token('')], logprobs: [likely] },
      { text: other, tokens: [token('')], logprobs: [likely], choice: 1 },
      { text: TEXT.slice(5), tokens: [token('')], logprobs: [likely] },
    ];
    return toKept({ deltas, end }, { key: 'k', keptAtMs: 1_000, systemFingerprint: 'fp_1', tokensToo: true });
  }

  test('each is read again with its own receipt, and so are the prompt and the log-probabilities', async () => {
    const events = replay((await readKept(writeKept(await two()), about))!);
    const texts = ['', ''];
    const listed = [0, 0];
    let next = await events.next();
    expect(next.value).toMatchObject({ echo: { text: 'Ahoy' } });
    for (; !next.done; next = await events.next()) {
      const { choice = 0, text, logprobs = [] } = next.value;
      texts[choice] += text;
      listed[choice]! += logprobs.length;
    }
    expect([texts, listed]).toEqual([
      [TEXT, other],
      [2, 1],
    ]);
    expect(next.value).toMatchObject({ receipt: { choice: 0 }, more: [{ receipt: { choice: 1 } }] });
  });

  test('none is believed if one is another’s, or is missing', async () => {
    const { moreTokens: _, ...alone } = JSON.parse(writeKept(await two()));
    expect(await readKept(JSON.stringify(alone), about)).toBeNull();
    const { receiptToken, moreTokens, ...rest } = JSON.parse(writeKept(await two()));
    const swapped = { ...rest, receiptToken: moreTokens[0], moreTokens: [receiptToken] };
    expect(await readKept(JSON.stringify(swapped), about)).toBeNull();
    expect(await readKept(writeKept(await two()).replace(other, 'Another two.'), about)).toBeNull();
  });
});

test('a short answer is one piece, and has tokens only for whoever is told of them', async () => {
  expect((await kept()).deltas).toEqual([{ text: TEXT, tokens: [] }]);
});

const look = (probability: number) => ({
  version: 'v',
  categories: JUDGEMENTS.map((name) => ({ name, probability })),
  tightened: true,
  because: null,
});

describe('is not believed:', () => {
  test.each<[string, () => Promise<string>]>([
    ['noise', async () => 'noise'],
    ['other words', async () => writeKept(await kept()).replace('no more', 'much more')],
    ["another tenant's answer", async () => writeKept(await kept({ changes: { tenant: 'other' } }))],
    ["another API key's answer", async () => writeKept(await kept({ changes: { key: 'other' } }))],
    ['an answer under another policy', async () => writeKept(await kept({ changes: { policy: 'other' } }))],
    ['an answer after another classifier', async () => writeKept(await kept({ changes: { classifier: 'c2' } }))],
    ['an answer of other weights', async () => writeKept(await kept({ changes: { bundle: 'b2' } }))],
    [
      'an answer that a probe has looked at',
      async () => writeKept(await kept({ changes: { second_look: look(0.1) } })),
    ],
    ['an answer that is not worth keeping', async () => writeKept(await kept({ changes: { ran: { safety: 5 } } }))],
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

test('an answer after a look is believed only for the version of the probe that looked', async () => {
  const written = writeKept(await kept({ changes: { second_look: look(0.1) } }));
  expect(await readKept(written, { ...about, asked: { ...asked, probe: 'v' } })).not.toBeNull();
  expect(await readKept(written, { ...about, asked: { ...asked, probe: 'w' } })).toBeNull();
});

describe('worth keeping', () => {
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
    [
      'one with a look that could not judge one thing',
      { second_look: { ...look(0.1), categories: look(0.1).categories.with(3, look(1).categories[3]!) } },
      false,
    ],
    // The cast: a later version may know other ends.
    ['one that ended in a way of its own', { finish_reason: 'error' as 'stop' }, false],
  ])('%s: %s', (_name, changes, expected) => {
    expect(isWorthKeeping({ ...receipt, ...changes }, [])).toBe(expected);
  });

  test.each<[string, Partial<Receipt>, { weights: number[]; nats?: number }, boolean]>([
    ['one in which the router always decided', {}, { weights: [0.5, 0.9, 0.2, 0.99, 0.5] }, true],
    ['one with a token that the gate was closed for', {}, { weights: [0.5, 0.9, 1, 0.99, 0.5] }, false],
    ['one that the line closes the gate for', { line: { ...OPEN_LINE, floor: 1 } }, { weights: [1, 1, 1, 1, 1] }, true],
    [
      'one that the line closes the gate for at first',
      { line: { ...OPEN_LINE, opening: { tokens: 2, floor: 1 } } },
      { weights: [1, 1, 0.5, 0.5, 0.5] },
      true,
    ],
    [
      'one whose budget was spent on the way',
      { line: { ...OPEN_LINE, budget: 2 }, ran: { safety: 5, helpfulness: 2 }, spent: 2 },
      { weights: [0.5, 0.5, 1, 1, 1], nats: 1 },
      true,
    ],
    [
      'one that was closed before its budget was spent',
      { line: { ...OPEN_LINE, budget: 3 }, ran: { safety: 5, helpfulness: 3 }, spent: 3 },
      { weights: [0.5, 1, 0.5, 1, 1], nats: 1 },
      false,
    ],
  ])('%s', (_name, changes, { weights, ...spending }, expected) => {
    expect(isWorthKeeping({ ...receipt, ...changes }, drawn(weights, spending))).toBe(expected);
  });
});
