/**
 * Backends of experts that say anything over their WebSockets: starts with wrong fields, rows of
 * every wrong size and of numbers that are none, JSON and bytes at random, too early, twice, never.
 * The edge mixes what it can. Its answer keeps the line, or ends with an error that is theirs.
 */
import * as fc from 'fast-check';
import { PlimsollError } from '#shared/api/errors.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { OPEN_LINE, RULES } from '#shared/line/line.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { type ExpertRow, encodeRow, packVocabulary } from '#shared/protocol/expert-messages.ts';
import type { SecondLook } from '#shared/protocol/second-look.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { createTracing } from '#shared/trace/tracing.ts';
import { createBackendPool } from '#workers/gateway/backend-pool.ts';
import { type BeginOptions, beginMixed } from '#workers/gateway/begin-mixed.ts';
import type { OpenSocket } from '#workers/gateway/expert-socket.ts';
import { unheard } from '#workers/gateway/pool-member.ts';
import { type FuzzKind, openKind } from './fuzz-kind.ts';
import { quietLog } from './quiet-log.ts';

const SIZE = 8;
const MOST_TOKENS = 6;
/** Nobody falls silent here: who says nothing more closes. So no case depends on a clock. */
const SILENCE_MS = 60_000;
const VOCABULARY = packVocabulary(
  { eos: [0], banned: [], bytesOf: (id) => (id === 0 ? undefined : Uint8Array.of(96 + id)) },
  SIZE,
);

/** One message, of which the rest follows the truth. */
type Message =
  | { say: 'row'; changes: Partial<Record<'epoch' | 'position' | 'draft', number>>; half: number[]; values: number[] }
  | { say: 'top'; ids: number[]; logprobs: number[]; left: number }
  | { say: 'bytes'; bytes: Uint8Array }
  | { say: 'text'; text: string }
  | { say: 'close' };
type Script = {
  /** Changes to the true start; null: it closes instead. */
  start: Record<string, unknown> | null;
  /** What is said before each row, one list a position, and whether the row comes then. */
  rows: ({ messages: Message[]; goesOn: boolean } | null)[];
};

const anyNumber = fc.oneof(
  fc.double(),
  fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, -0, 1e308, -1e308, 2 ** 31, -1),
);
const strange = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(null, -1, 0, 1, 0.5, 2 ** 31, 1e308, '', 'x', [], [0], {}),
);
const router = fc.record({ bias: fc.array(anyNumber), out: fc.array(anyNumber), c: anyNumber });
const vocabulary = fc.oneof(
  strange,
  fc
    .record(
      {
        eos: fc.array(fc.nat(9), { minLength: 1 }),
        banned: fc.array(fc.nat(2 ** 31 - 1)),
        drops_first_space: fc.boolean(),
        bytes: fc.oneof(fc.stringMatching(/^[\w-]*$/), fc.string()),
        lengths: fc.oneof(fc.stringMatching(/^[\w-]*$/), fc.string()),
      },
      { requiredKeys: [] },
    )
    .map((changes) => ({ ...VOCABULARY, ...changes })),
);
const start = fc.record(
  {
    bundle: fc.oneof(fc.constantFrom('x', ''), strange),
    model: fc.oneof(fc.constantFrom('m', 'n'), strange),
    draws: strange,
    backend: strange,
    experts: strange,
    vocab_size: fc.oneof(fc.nat(9), strange),
    prompt_tokens: fc.oneof(fc.nat(9), strange),
    most_tokens: fc.oneof(fc.nat(9), strange),
    proposal: fc.oneof(anyNumber, router, strange),
    key: fc.oneof(fc.array(fc.nat(2 ** 32 - 1), { minLength: 3, maxLength: 5 }), strange),
    prompt_ids: fc.oneof(fc.array(fc.nat(2 ** 31 - 1)), strange),
    vocabulary,
    type: strange,
  },
  { requiredKeys: [] },
);
const word = fc.oneof(
  fc.json(),
  fc.string(),
  fc.constantFrom(
    '{"type":"waiting"}',
    '{"type":"reading"}',
    '{"type":"error","code":"overloaded","message":"x"}',
    '{"type":"error","code":"__proto__","message":"x"}',
    '{"type":"looked"}',
  ),
  fc
    .record({ version: strange, categories: fc.array(fc.record({ name: strange, probability: anyNumber })) })
    .map((report) => JSON.stringify({ type: 'looked', report: { ...report, tightened: false, because: null } })),
  fc.double({ min: -1, max: 2 }).map((probability) => JSON.stringify({ type: 'looked', report: found(probability) })),
);
const message: fc.Arbitrary<Message> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      say: fc.constant('row' as const),
      changes: fc.record(
        { epoch: fc.nat(9), position: fc.nat(9), draft: fc.oneof(fc.nat(9), fc.constant(0x7fffffff)) },
        { requiredKeys: [] },
      ),
      half: fc.oneof(fc.constant<number[]>([]), fc.array(anyNumber, { maxLength: 4 })),
      values: fc.oneof(
        fc.array(fc.double({ min: -9, max: 9, noNaN: true }), { minLength: SIZE, maxLength: SIZE }),
        fc.array(anyNumber, { maxLength: SIZE + 1 }),
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      say: fc.constant('top' as const),
      ids: fc.oneof(fc.uniqueArray(fc.nat(SIZE - 1), { maxLength: 4 }), fc.array(fc.integer(), { maxLength: 5 })),
      logprobs: fc.array(fc.oneof(fc.double({ min: -9, max: 0, noNaN: true }), anyNumber), { maxLength: 5 }),
      left: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), anyNumber),
    }),
  },
  { weight: 1, arbitrary: fc.record({ say: fc.constant('bytes' as const), bytes: fc.uint8Array({ maxLength: 80 }) }) },
  { weight: 2, arbitrary: fc.record({ say: fc.constant('text' as const), text: word }) },
  { weight: 1, arbitrary: fc.constant({ say: 'close' as const }) },
);
const script: fc.Arbitrary<Script> = fc.record({
  start: fc.oneof(
    { weight: 12, arbitrary: fc.constant({}) },
    { weight: 8, arbitrary: start },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  rows: fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constant(null) },
      {
        weight: 1,
        arbitrary: fc.record({
          messages: fc.array(message, { minLength: 1, maxLength: 3 }),
          goesOn: fc.nat(5).map((n) => n > 0),
        }),
      },
    ),
    { maxLength: MOST_TOKENS },
  ),
});
const share = fc.double({ min: 0, max: 1, noNaN: true });
const mixedCase = fc.record({
  /** What each socket says that is opened; after the last, there are no more backends. */
  safety: fc.array(script, { minLength: 1, maxLength: 2 }),
  helpfulness: fc.array(script, { maxLength: 2 }),
  topK: fc.option(fc.integer({ min: 1, max: SIZE - 1 })),
  line: fc.record({
    floor: share,
    ceiling: share,
    opening: fc.record({ tokens: fc.nat(3), floor: share }),
    rule: fc.constantFrom(...RULES),
    budget: fc.option(fc.double({ min: 0, max: 3, noNaN: true })),
    action: fc.constantFrom('mix', 'mix', 'safety_only'),
  }),
  looks: fc.nat(5).map((n) => n === 0),
  request: fc.record(
    {
      temperature: fc.constantFrom(0, 1),
      repetition_penalty: fc.constantFrom(1, 2),
      stop: fc.constantFrom([], ['a'], ['ab']),
      ignore_eos: fc.boolean(),
    },
    { requiredKeys: [] },
  ),
});

function found(probability: number) {
  const categories = JUDGEMENTS.map((name) => ({ name, probability: name === 'violence' ? probability : 0 }));
  return { version: 'p1', categories, tightened: false, because: null };
}

/** The cast: a rule has more fields, and all of them have neutral defaults. */
const REFUSES = {
  base: 0,
  rules: { violence: { action: 'refuse', ramp: { from: 0.5, full: 0.9 } } },
} as unknown as SecondLook;

const untraced = createTracing({
  service: 'fuzz',
  otlp: { endpoint: null, headers: {}, ratio: 1 },
  fetch: () => Promise.reject(new Error('nothing is sent')),
  onFailure: () => undefined,
});
const trace = untraced.begin('fuzz', { header: () => undefined });

export const hostileExperts: FuzzKind = async () => {
  const speak = quietLog();
  let bundles = 0;
  return openKind(
    mixedCase,
    async ({ safety, helpfulness, topK, line, looks, request }) => {
      // Another one each time, because the edge learns a bundle's vocabulary once.
      const bundle = `bundle ${bundles++}`;
      const scripts = { 'http://s': [...safety], 'http://h': [...helpfulness] };
      let open = 0;
      const openSocket: OpenSocket = async (url, _headers, signal) => {
        // As a fetch does.
        signal.throwIfAborted();
        // The cast: the members below have these addresses and no others.
        const next = scripts[new URL(url).origin as keyof typeof scripts].shift();
        if (next === undefined) throw new PlimsollError('backend_unavailable', 'gone');
        open++;
        return play(next, { topK, bundle, onClose: () => open-- });
      };
      const body = JSON.stringify({
        model: 'm',
        messages: [{ role: 'user', content: 'Hi' }],
        max_tokens: MOST_TOKENS,
        stop: [],
        seed: 1,
        temperature: 1,
        top_p: 1,
        ...request,
      });
      const member = { ...unheard(''), alive: true, model: 'm', bundle, modes: ['edge' as const], secondLook: 'p1' };
      const members = [
        { ...member, url: 'http://s', serves: ['safety' as const] },
        { ...member, url: 'http://h', serves: ['helpfulness' as const] },
      ];
      const options: BeginOptions = {
        requestId: 'req_1',
        trace,
        body,
        model: 'm',
        messages: [{ role: 'user', content: 'Hi' }],
        directive: {
          request: 'req_1',
          tenant: 'acme',
          key: 'main',
          policy: 'p',
          classifier: 'c',
          digest: await sha256Hex(body),
          line: { ...OPEN_LINE, mode: 'edge', ...line },
          second_look: looks ? REFUSES : null,
          resume: null,
        },
        directiveKey: KEY,
        mixing: { topK, ahead: 2 },
        signal: new AbortController().signal,
        timeouts: { startMs: SILENCE_MS, frameMs: SILENCE_MS, hedgeMs: SILENCE_MS, resumeMs: 0, besideMs: SILENCE_MS },
        pool: createBackendPool({ restMs: 0, fetch: () => Promise.reject(new Error('nobody is polled')) }),
        from: null,
        members: async () => members,
        openSocket,
        onWaiting: () => {},
        onEnd: () => {},
        sign: async () => 'a receipt',
      };
      const outcome = await mixed(options);
      if (open !== 0) throw new Error(`${open} sockets are still open after ${outcome}`);
      return outcome;
    },
    async () => speak(),
  );
};

const KEY = directiveKey('a secret of at least 32 bytes, for the fuzz');

/** Throws if it is the edge's fault. A line that was crossed ends with `internal_error`. */
async function mixed(options: BeginOptions): Promise<string> {
  let text = '';
  try {
    const { events } = await beginMixed(options);
    let next = await events.next();
    for (; !next.done; next = await events.next()) text += next.value.text;
    const { receipt } = next.value;
    if (receipt.answer_digest !== (await sha256Hex(text))) throw new Error('the receipt is about another text');
    const numbers = [receipt.weights.min, receipt.weights.mean, receipt.weights.max, receipt.spent ?? 0];
    if (!numbers.every(Number.isFinite)) throw new Error(`numbers that are none: ${numbers.join()}`);
    return receipt.finish_reason;
  } catch (thrown) {
    if (!(thrown instanceof PlimsollError) || thrown.code === 'internal_error') throw thrown;
    return thrown.code;
  }
}

/** A socket that says what the script says, each time in a turn of its own. */
function play(
  { start, rows }: Script,
  { topK, bundle, onClose }: { topK: number | null; bundle: string; onClose: () => void },
): Awaited<ReturnType<OpenSocket>> {
  const hear: ((event: { data: unknown }) => void)[] = [];
  const gone: (() => void)[] = [];
  let isClosed = false;
  const close = () => {
    if (!isClosed) onClose();
    isClosed = true;
  };
  const say = (data: unknown) =>
    queueMicrotask(() => {
      if (!isClosed) for (const listener of hear) listener({ data });
    });
  const leave = () => queueMicrotask(() => gone.forEach((listener) => void listener()));
  function tell(position: number, epoch: number): void {
    const { messages = [], goesOn = true } = rows[position] ?? {};
    for (const message of messages) {
      if (message.say === 'close') leave();
      else if (message.say === 'text') say(message.text);
      else if (message.say === 'bytes') say(Uint8Array.from(message.bytes).buffer);
      else say(encodeRow(rowOf(message, { position, epoch, topK })).buffer);
    }
    if (goesOn) say(encodeRow(rowOf(null, { position, epoch, topK })).buffer);
    else leave();
  }
  return {
    send(text) {
      // The cast: the edge sends nothing else.
      const sent = JSON.parse(text) as { type: 'open'; ids: number[] } | { type: 'take'; at: number; epoch: number };
      if (sent.type === 'take') return tell(sent.at + 1, sent.epoch);
      if (start === null) return leave();
      say(JSON.stringify({ ...START, bundle, ...start }));
      tell(sent.ids.length, 0);
    },
    close,
    addEventListener(type: string, listener: (event: { data: unknown }) => void) {
      // The cast: whoever listens for the end takes no event.
      if (type === 'message') hear.push(listener);
      else gone.push(listener as () => void);
    },
  };
}

const START = {
  type: 'start',
  backend: 'b',
  model: 'm',
  draws: 'd',
  experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'base' } },
  vocab_size: SIZE,
  prompt_tokens: 3,
  most_tokens: MOST_TOKENS,
  proposal: 0.5,
  key: [1, 2, 3, 4],
  vocabulary: VOCABULARY,
};

function rowOf(
  message: Extract<Message, { say: 'row' | 'top' }> | null,
  { position, epoch, topK }: { position: number; epoch: number; topK: number | null },
): ExpertRow {
  const about = { epoch, position, draft: null, half: new Float64Array() };
  const isTop = message === null ? topK !== null : message.say === 'top';
  if (message?.say === 'top') {
    const { ids, logprobs, left } = message;
    const padded = ids.map((_, i) => logprobs[i] ?? Math.log(1 / (ids.length + 1)));
    return { ...about, ids: Int32Array.from(ids), logprobs: Float64Array.from(padded), left };
  }
  if (isTop) {
    const ids = Int32Array.from({ length: topK ?? 1 }, (_, i) => i);
    return { ...about, ids, logprobs: new Float64Array(ids.length).fill(-Math.log(SIZE)), left: 1 - ids.length / SIZE };
  }
  if (message === null)
    return { ...about, logits: Float32Array.from({ length: SIZE }, (_, i) => Math.sin(position + i)) };
  return {
    ...about,
    ...message.changes,
    half: Float64Array.from(message.half),
    logits: Float32Array.from(message.values),
  };
}
