/**
 * The answer cache: keys of nearly equal requests, and what a cache that anybody may have written
 * to gives back.
 */
import * as fc from 'fast-check';
import { OPEN_LINE } from '#shared/line/line.ts';
import { type Receipt, signReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { answerKey } from '#workers/gateway/answer-key.ts';
import { toKept, writeKept } from '#workers/gateway/kept-answer.ts';
import { createKeptAnswers, KEEP_MS } from '#workers/gateway/kept-answers.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';
import { type FuzzKind, openKind } from './fuzz-kind.ts';
import { quietLog } from './quiet-log.ts';

type Parts = Parameters<typeof answerKey>[0];

const word = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('', 'a', '["a"]', '\u0000', 'null', '__proto__'),
);
const share = fc.double({ min: 0, max: 1, noNaN: true });
const parts: fc.Arbitrary<Parts> = fc.record({
  directive: fc.record({
    tenant: word,
    key: word,
    policy: word,
    classifier: word,
    line: fc
      .record({ floor: share, ceiling: share, budget: fc.option(fc.double({ min: 0, max: 50, noNaN: true })) })
      .map((line) => ({ ...OPEN_LINE, ...line })),
    second_look: fc.constant(null),
  }),
  request: fc.record({
    model: word,
    messages: fc.array(fc.record({ role: fc.constantFrom('user', 'system'), content: word }), { minLength: 1 }),
    max_tokens: fc.option(fc.nat()),
    stop: fc.array(word, { maxLength: 4 }),
    seed: fc.integer(),
    temperature: fc.constantFrom(0, 0.5, 1),
    top_p: share,
  }),
  seed: fc.option(fc.oneof(fc.integer(), fc.constantFrom('9223372036854775807', '-9223372036854775808'))),
  bundle: word,
  draws: word,
  probe: fc.option(word),
});

/** The places of a question that its answer depends on, and other values for them. */
const CHANGES: Record<string, (parts: Parts, to: string) => Parts> = {
  tenant: (parts, tenant) => ({ ...parts, directive: { ...parts.directive, tenant } }),
  key: (parts, key) => ({ ...parts, directive: { ...parts.directive, key } }),
  policy: (parts, policy) => ({ ...parts, directive: { ...parts.directive, policy } }),
  classifier: (parts, classifier) => ({ ...parts, directive: { ...parts.directive, classifier } }),
  floor: (parts) => ({
    ...parts,
    directive: { ...parts.directive, line: { ...parts.directive.line, floor: parts.directive.line.floor / 2 - 1 } },
  }),
  bundle: (parts, bundle) => ({ ...parts, bundle }),
  probe: (parts, probe) => ({ ...parts, probe }),
  seed: (parts) => ({ ...parts, seed: parts.seed === 7 ? 8 : 7 }),
  model: (parts, model) => ({ ...parts, request: { ...parts.request, model } }),
  content: (parts, content) => ({
    ...parts,
    request: { ...parts.request, messages: [...parts.request.messages, { role: 'user', content }] },
  }),
  stop: (parts, stop) => ({ ...parts, request: { ...parts.request, stop: [...parts.request.stop, stop] } }),
};

/**
 * Equal questions have equal keys, in whatever order their fields come, and a question that differs
 * in anything has another key: above all in the tenant, the API key and the policy.
 */
export const cacheKeys: FuzzKind = async () =>
  openKind(
    fc.record({ parts, change: fc.constantFrom(...Object.keys(CHANGES)), to: word }),
    async ({ parts, change, to }) => {
      const key = await answerKey(parts);
      if ((await answerKey(reversed(parts))) !== key) throw new Error('the order of fields is in the key');
      // The seed that the edge has filled in is no part of the question.
      const seeded = { ...parts, request: { ...parts.request, seed: parts.request.seed === 1 ? 2 : 1 } };
      if ((await answerKey(seeded)) !== key) throw new Error("the edge's own seed is in the key");
      const other = CHANGES[change]!(parts, to);
      const isSame = JSON.stringify(other) === JSON.stringify(parts);
      if ((await answerKey(other)) === key && !isSame) throw new Error(`another ${change} has the same key`);
      return isSame ? 'the same' : change;
    },
  );

function reversed<T>(value: T): T {
  if (Array.isArray(value) || typeof value !== 'object' || value === null) return value;
  // The cast: the same fields.
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, each]) => [name, reversed(each)]),
  ) as T;
}

const NOW = Date.UTC(2026, 0, 1);
const TEXTS = ['The answer', ' is ⚓', '', ' and no more.'];
const TENANT = 'acme';

/** What the shared cache says. */
const stored: fc.Arbitrary<Stored> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Stored>({ do: 'keep' }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('set' as const),
      field: fc.constantFrom('key', 'keptAtMs', 'systemFingerprint', 'deltas', 'receiptToken', 'x', '__proto__'),
      to: fc.oneof(
        fc.jsonValue({ maxDepth: 3 }),
        fc.array(fc.record({ text: fc.string(), tokens: fc.constant([]) })),
        fc.constantFrom(TEXTS.join(''), 'other').map((text) => [{ text, tokens: [] }]),
        fc.integer({ min: NOW - 2 * KEEP_MS, max: NOW + KEEP_MS }),
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const), at: fc.nat(), put: fc.string() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('say' as const), text: fc.oneof(fc.json(), fc.string()) }) },
  { weight: 1, arbitrary: fc.constant<Stored>({ do: 'throw' }) },
);
const cacheCase = fc.record({
  stored,
  /** Whose answer the cache holds. */
  holder: fc.constantFrom(TENANT, TENANT, 'other'),
  isWithdrawn: fc.nat(5).map((n) => n === 0),
  maxAgeMs: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 0, max: KEEP_MS })),
  tokensToo: fc.boolean(),
});

/**
 * What is found is the answer that a backend has signed for this tenant, and no older than asked.
 */
export const cacheReplays: FuzzKind = async () => {
  const key = await createReceiptKey('fuzz');
  const other = await createReceiptKey('other');
  const receipts = new Map<string, { receiptToken: string; receipt: Receipt }>();
  for (const tenant of [TENANT, 'other']) {
    const receipt = { ...RECEIPT, tenant, answer_digest: await sha256Hex(TEXTS.join('')) };
    receipts.set(tenant, { receiptToken: await signReceipt(receipt, key), receipt });
  }
  const speak = quietLog();
  return openKind(
    cacheCase,
    async ({ stored, holder, isWithdrawn, maxAgeMs, tokensToo }) => {
      const token = (text: string) => ({
        id: 1,
        text,
        weight: 0.5,
        floor: 0.2,
        lp_s: null,
        lp_h: null,
        lp: -1,
        spent: 0,
      });
      const deltas = TEXTS.map((text) => ({ text, tokens: [token(text)] }));
      const about = { key: 'k', keptAtMs: NOW, systemFingerprint: 'fp_1', tokensToo };
      const written = writeKept(toKept({ deltas, end: receipts.get(holder)! }, about));
      const kept = createKeptAnswers({
        now: () => NOW,
        openCache: async () => ({
          match: async () => {
            if (stored.do === 'throw') throw new Error('the cache is gone');
            return new Response(damaged(written, stored));
          },
          put: async () => undefined,
        }),
      });
      const jwks = isWithdrawn ? other.jwks : key.jwks;
      const found = await kept.get('k', { asked: ASKED, jwks, maxAgeMs });
      if (found === null) {
        if (stored.do === 'keep' && holder === TENANT && !isWithdrawn) throw new Error('a good answer was not found');
        return 'none';
      }
      const { answer, ageMs } = found;
      if (isWithdrawn || holder !== TENANT) throw new Error('an answer of another tenant or of a withdrawn key');
      if (answer.deltas.map(({ text }) => text).join('') !== TEXTS.join(''))
        throw new Error('another text than was signed');
      if (ageMs > maxAgeMs || ageMs >= KEEP_MS || ageMs < 0) throw new Error(`an answer of ${ageMs} ms`);
      if (answer.key !== 'k' || answer.receipt.tenant !== TENANT) throw new Error('an answer to another question');
      return 'found';
    },
    async () => speak(),
  );
};

type Stored =
  | { do: 'keep' | 'throw' }
  | { do: 'set'; field: string; to: unknown }
  | { do: 'cut'; at: number; put: string }
  | { do: 'say'; text: string };

function damaged(written: string, stored: Stored): string {
  if (stored.do === 'say') return stored.text;
  if (stored.do === 'cut') {
    const at = stored.at % (written.length + 1);
    return written.slice(0, at) + stored.put + written.slice(at + 1);
  }
  if (stored.do === 'set') return JSON.stringify({ ...JSON.parse(written), [stored.field]: stored.to });
  return written;
}

const RECEIPT: Receipt = {
  request: 'req_1',
  directive: '11111111-1111-4111-8111-111111111111',
  tenant: TENANT,
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
  ran: { safety: 4, helpfulness: 4 },
  usage: { prompt_tokens: 1, completion_tokens: 4, total_tokens: 5 },
  finish_reason: 'stop',
  choice: 0,
  choices: 1,
  seed: 7,
  sampling: { temperature: 0, top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1 },
  prompt_digest: 'p',
  answer_digest: '',
};
/** Whose answer is looked for. */
const ASKED = {
  tenant: TENANT,
  key: RECEIPT.key,
  policy: RECEIPT.policy,
  classifier: RECEIPT.classifier,
  bundle: RECEIPT.bundle,
  probe: null,
};
